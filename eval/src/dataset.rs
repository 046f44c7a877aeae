//! Which files are measured.

use crate::EvalError;
use crate::codec::Cause;
use image::{ImageReader, RgbImage};
use std::path::{Path, PathBuf};

/// A file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Path below the folder with `/` between its parts: its name in reports.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// Reads a file.
type Load<M> = Box<dyn Fn(&Path) -> Result<M, Cause> + Send + Sync>;

/// Files and how to read them. They are read one at a time, when their turn comes.
pub struct Dataset<M> {
    /// In order of their names.
    pub items: Vec<Item>,
    load: Load<M>,
}

impl<M> Dataset<M> {
    /// All files of a folder and its subfolders that `accept` takes; names that begin with a dot are passed over. A file in
    /// place of the folder is a data set of one.
    ///
    /// # Errors
    /// A folder that cannot be read: leaving a part out would silently change every average.
    pub fn open(
        root: &Path,
        accept: impl Fn(&Path) -> bool,
        load: impl Fn(&Path) -> Result<M, Cause> + Send + Sync + 'static,
    ) -> Result<Self, EvalError> {
        let mut paths = Vec::new();
        if root.is_file() {
            paths.push(root.to_path_buf());
        } else {
            walk(root, &mut paths)?;
            paths.retain(|path| accept(path));
        }
        let base = if root.is_file() {
            root.parent()
        } else {
            Some(root)
        };
        let mut items: Vec<Item> = paths
            .into_iter()
            .map(|path| {
                let below = base.and_then(|base| path.strip_prefix(base).ok());
                let parts = below.unwrap_or(&path).components();
                let parts: Vec<_> = parts
                    .map(|part| part.as_os_str().to_string_lossy())
                    .collect();
                let name = parts.join("/");
                Item { name, path }
            })
            .collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            items,
            load: Box::new(load),
        })
    }

    /// Every n-th file from the i-th on, counted from 1. The shards of one n have every file once.
    ///
    /// # Errors
    /// [`EvalError::BadShard`] unless `1 <= i <= n`.
    pub fn shard(mut self, i: usize, n: usize) -> Result<Self, EvalError> {
        if i == 0 || i > n {
            return Err(EvalError::BadShard { i, n });
        }
        self.items = self.items.into_iter().skip(i - 1).step_by(n).collect();
        Ok(self)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As reading does.
    pub fn load(&self, item: &Item) -> Result<M, Cause> {
        (self.load)(&item.path)
    }
}

impl Dataset<RgbImage> {
    /// The pictures of a folder, as 8-bit RGB: all files with the extension of a format that can be read.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn pictures(root: &Path) -> Result<Self, EvalError> {
        let accept =
            |path: &Path| image::ImageFormat::from_path(path).is_ok_and(|f| f.reading_enabled());
        Self::open(root, accept, |path| Ok(load_picture(path)?))
    }
}

/// Reads a picture as 8-bit RGB, whatever its name says.
///
/// # Errors
/// [`EvalError::Picture`].
pub fn load_picture(path: &Path) -> Result<RgbImage, EvalError> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let image = reader
        .map_err(image::ImageError::from)
        .and_then(ImageReader::decode);
    let image = image.map_err(|source| EvalError::Picture {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(image.into_rgb8())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), EvalError> {
    let fail = |source| EvalError::Io {
        path: folder.to_path_buf(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order_and_split() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in [
            "z.png",
            "b/a.png",
            "a.PNG",
            "b/note.txt",
            ".hidden.png",
            "c.jpg",
        ] {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        let open = || Dataset::pictures(dir.path()).unwrap();
        let names = |data: Dataset<RgbImage>| -> Vec<String> {
            data.items.into_iter().map(|i| i.name).collect()
        };
        assert_eq!(names(open()), ["a.PNG", "b/a.png", "c.jpg", "z.png"]);
        assert_eq!(names(open().shard(1, 3).unwrap()), ["a.PNG", "z.png"]);
        assert_eq!(names(open().shard(3, 3).unwrap()), ["c.jpg"]);
        assert!(names(open().shard(6, 6).unwrap()).is_empty());
        for (i, n) in [(0, 2), (3, 2), (0, 0)] {
            assert!(matches!(
                open().shard(i, n),
                Err(EvalError::BadShard { .. })
            ));
        }
        let one = Dataset::pictures(&dir.path().join("b/a.png")).unwrap();
        assert_eq!(one.items[0].name, "a.png");
        assert!(open().load(&open().items[0]).is_err());
        assert!(matches!(
            Dataset::pictures(Path::new("/no/such/folder")),
            Err(EvalError::Io { .. })
        ));
    }
}
