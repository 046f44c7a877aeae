//! Decoded items that are kept.

use crate::Media;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Keeps decoded items up to a bound and never drops one.
///
/// Items are drawn at random with replacement, so what is kept does not matter for the share of hits, only how much;
/// and for the other user, validation that goes through a list again and again, keeping the first items is far better than
/// keeping the latest. So there is nothing to evict.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: u64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    items: HashMap<usize, Media>,
    bytes: u64,
}

impl Cache {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            state: RwLock::default(),
        }
    }

    // No code panics while it holds the lock.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Media> {
        self.read().items.get(&index).cloned()
    }

    pub(crate) fn put(&self, index: usize, media: &Media) {
        let bytes = media.info().decoded_bytes();
        let mut state = self.write();
        let total = state.bytes.saturating_add(bytes);
        if total <= self.limit && !state.items.contains_key(&index) {
            state.items.insert(index, media.clone());
            state.bytes = total;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.read().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Picture;
    use std::sync::Arc;

    #[test]
    fn the_bound_holds() {
        let picture = |side: usize| {
            let picture = Picture::new(side, side, vec![0; side * side * 3]).unwrap();
            Media::Image(Arc::new(picture))
        };
        let cache = Cache::new(1000);
        cache.put(0, &picture(16));
        cache.put(0, &picture(16));
        assert_eq!(cache.bytes(), 768);
        cache.put(1, &picture(16));
        assert!(cache.get(0).is_some() && cache.get(1).is_none());
        cache.put(2, &picture(8));
        assert_eq!(cache.bytes(), 960);
    }
}
