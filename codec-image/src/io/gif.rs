//! Counts the frames of a GIF file, so that dropped ones can be reported.

/// Number of image blocks up to the trailer or the first thing that is not a block.
pub(super) fn frame_count(bytes: &[u8]) -> usize {
    let mut frames = 0;
    // A damaged end is the decoder's to report: here it only ends the count.
    let _ = walk(bytes, &mut frames);
    frames
}

fn walk(bytes: &[u8], frames: &mut usize) -> Option<()> {
    // Signature, logical screen, global colour table.
    let mut at = 13 + color_table(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            0x2c => {
                *frames += 1;
                // Descriptor, local colour table, code size.
                at = skip_blocks(bytes, at + 11 + color_table(*bytes.get(at + 9)?))?;
            }
            0x21 => at = skip_blocks(bytes, at + 2)?,
            _ => return None,
        }
    }
}

fn color_table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        6 << (flags & 7)
    }
}

fn skip_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
