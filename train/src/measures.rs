//! How the measures of a run are called and written: one place for names, units and digits.

/// Name for people, unit and digits of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// What it is, for an axis or a heading.
    pub label: &'static str,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// What the measure tells about a codec.
    pub kind: MeasureKind,
}

/// What a measure tells about a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureKind {
    /// The size of what is stored.
    Rate,
    /// The likeness of what is decoded; more is better.
    Quality,
    /// Anything else.
    Other,
}

/// Measures that models report, in the order in which they are shown.
const MEASURES: &[(&str, Measure)] = {
    use MeasureKind::{Other, Quality, Rate};
    &[
        ("bpp", measure("rate", "bpp", 3, Rate)),
        ("kbps", measure("rate", "kbit/s", 2, Rate)),
        (
            "hyper_bpp",
            measure("rate of hyperlatents", "bpp", 4, Other),
        ),
        ("psnr", measure("PSNR", "dB", 2, Quality)),
        ("snr", measure("SNR", "dB", 2, Quality)),
        ("si_sdr", measure("SI-SDR", "dB", 2, Quality)),
        ("ms_ssim_db", measure("MS-SSIM", "dB", 2, Quality)),
        ("lpips", measure("LPIPS", "", 4, Other)),
        ("aux", measure("auxiliary loss", "", 3, Other)),
        ("perplexity", measure("codebook perplexity", "", 0, Other)),
        ("dead_codes", measure("dead codes", "", 0, Other)),
    ]
};

const fn measure(
    label: &'static str,
    unit: &'static str,
    digits: usize,
    kind: MeasureKind,
) -> Measure {
    Measure {
        label,
        unit,
        digits,
        kind,
    }
}

impl Measure {
    /// The measure that a model reports under a name, if this is one of the usual ones.
    pub fn find(name: &str) -> Option<Self> {
        MEASURES.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }

    /// Names of all usual measures, in the order in which they are shown.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MEASURES.iter().map(|(name, _)| *name)
    }

    /// Names of the usual measures of a kind.
    pub fn names_of(kind: MeasureKind) -> impl Iterator<Item = &'static str> {
        let of = MEASURES.iter().filter(move |(_, f)| f.kind == kind);
        of.map(|(name, _)| *name)
    }

    /// `PSNR (dB)`.
    pub fn axis(&self) -> String {
        if self.unit.is_empty() {
            self.label.to_owned()
        } else {
            format!("{} ({})", self.label, self.unit)
        }
    }

    /// `33.33 dB`, or `dead codes 3` for what has no unit.
    pub fn text(&self, value: f64) -> String {
        let digits = self.digits;
        if self.unit.is_empty() {
            format!("{} {value:.digits$}", self.label)
        } else {
            format!("{value:.digits$} {}", self.unit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_carry_their_units() {
        let text = |name: &str, value| Measure::find(name).map(|f| f.text(value));
        assert_eq!(text("psnr", 33.333).as_deref(), Some("33.33 dB"));
        assert_eq!(text("dead_codes", 3.0).as_deref(), Some("dead codes 3"));
        assert_eq!(text("nonsense", 1.0), None);
        assert_eq!(Measure::find("kbps").unwrap().axis(), "rate (kbit/s)");
        assert_eq!(
            Measure::names_of(MeasureKind::Rate).collect::<Vec<_>>(),
            ["bpp", "kbps"]
        );
    }
}
