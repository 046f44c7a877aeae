use super::*;
use crate::{Extent, Failure, FileRow, RdPoint, published};
use image::Rgb;

const NASTY: &str = "</script><script>alert('x')</script>&\".png";

fn version(codec: &str, media: SampleMedia) -> Version {
    Version {
        codec: codec.into(),
        setting: "q 1".into(),
        bytes: Some(100),
        rate: None,
        values: [("psnr-rgb".to_owned(), f64::INFINITY)].into(),
        media,
    }
}

fn picture(codec: &str, side: u32) -> Version {
    let picture = RgbImage::from_pixel(side, side, Rgb([1, 2, 3]));
    version(codec, SampleMedia::Picture(picture))
}

fn sound(codec: &str) -> Version {
    let sound = Sound {
        sample_rate: 8000,
        channels: vec![vec![0.25; 4000]],
    };
    version(codec, SampleMedia::Sound(sound))
}

fn set(versions: Vec<Version>) -> SampleSet {
    SampleSet {
        name: NASTY.into(),
        goal: "<i>about</i> 1 kB".into(),
        versions,
    }
}

fn nasty_curve() -> RdCurve {
    let values: BTreeMap<String, f64> = [
        ("psnr-rgb".to_owned(), f64::INFINITY),
        (NASTY.to_owned(), 1.0),
        ("task.a".to_owned(), 0.5),
        ("task.a.original".to_owned(), 0.75),
    ]
    .into();
    RdCurve {
        name: NASTY.into(),
        description: NASTY.into(),
        points: vec![RdPoint {
            quality: 1.0,
            rate: 0.5,
            values: values.clone(),
            ..RdPoint::default()
        }],
        environment: [(NASTY.to_owned(), NASTY.to_owned())].into(),
        per_file: vec![FileRow {
            file: NASTY.into(),
            quality: 1.0,
            extent: Extent::Picture {
                width: 8,
                height: 4,
            },
            bytes: 2,
            values,
            counts: BTreeMap::new(),
            encoding_time: 0.001,
            decoding_time: 0.002,
        }],
        failures: vec![Failure {
            file: NASTY.into(),
            quality: None,
            reason: NASTY.into(),
        }],
        ..RdCurve::default()
    }
}

fn whole(curves: &[RdCurve]) -> String {
    let anchor = curves[0].name.as_str();
    page(&Page {
        title: NASTY.into(),
        command: NASTY.into(),
        environment: [(NASTY.to_owned(), NASTY.to_owned())].into(),
        curves,
        comparisons: compare(curves, &[anchor, NASTY]),
        samples: vec![
            set(vec![picture("original", 8), picture(NASTY, 8)]),
            set(vec![sound("original"), sound("b")]),
        ],
        notes: vec![NASTY.into()],
    })
    .unwrap()
}

fn data(page: &str) -> serde_json::Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let json = page.split_once(start).unwrap().1;
    serde_json::from_str(json.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn everything_is_there_and_nothing_gets_out() {
    let mut curves = published::kodak().unwrap();
    curves.push(nasty_curve());
    let page = whole(&curves);
    assert!(!page.contains("<script>alert") && !page.contains("<i>about"));
    let safe = text::html(NASTY);
    assert!(page.contains(&format!("<title>{safe}</title>")));
    for curve in &curves {
        assert!(page.contains(&text::html(&curve.name)), "{}", curve.name);
    }
    let data = data(&page);
    let last = curves.len() - 1;
    assert_eq!(data["curves"][last]["name"], NASTY);
    assert_eq!(data["files"]["names"][0], NASTY);
    let row = data["files"]["rows"][0].as_array().unwrap();
    assert_eq!(
        row.len(),
        8 + data["files"]["keys"].as_array().unwrap().len()
    );
    assert_eq!(
        (row[0].as_f64(), row[5].as_f64()),
        (Some(last as f64), Some(0.5))
    );
    assert_eq!(
        data["curves"][last]["points"][0]["values"]["psnr-rgb"],
        "inf"
    );
    assert_eq!(data["samples"][1]["versions"][1]["codec"], "b");
    // Every element of a script ends where it should.
    assert_eq!(
        page.matches("<script").count(),
        page.matches("</script>").count()
    );
    assert_eq!(page, whole(&curves), "the same page twice");
}

#[test]
fn nothing_is_loaded() {
    let curves = published::kodak_anchors().unwrap();
    let page = whole(&curves);
    assert!(page.contains("default-src 'none'"));
    for loads in [
        "src=\"http",
        "href=\"http",
        "url(http",
        "@import",
        "<link",
        "fetch(",
        "XMLHttp",
    ] {
        assert!(!page.contains(loads), "{loads}");
    }
    // The one address in the page itself is the name of SVG.
    let own = [include_str!("page.html"), include_str!("style.css")];
    let addresses = SCRIPTS.iter().chain(&own);
    let addresses: usize = addresses.map(|part| part.matches("://").count()).sum();
    assert_eq!(addresses, 1);
}

#[test]
fn samples_are_in_the_page() {
    let curves = [nasty_curve()];
    let page = whole(&curves);
    let data = data(&page);
    let decode = |stored: &serde_json::Value| {
        let start = format!("id=\"media-{}\">", stored["id"]);
        let coded = page.split_once(&start).unwrap().1;
        let coded = coded.split_once('<').unwrap().0;
        assert_eq!(
            coded.len(),
            stored["size"].as_u64().unwrap().div_ceil(3) as usize * 4
        );
        coded.to_owned()
    };
    let picture = RgbImage::from_pixel(8, 8, Rgb([1, 2, 3]));
    let expected = text::base64(&picture::encode(&picture).unwrap().1);
    assert_eq!(
        decode(&data["samples"][0]["versions"][1]["media"]),
        expected
    );
    let sounds = &data["samples"][1];
    assert!(decode(&sounds["versions"][0]["media"]).starts_with("UklGR")); // RIFF
    assert!(decode(&sounds["versions"][0]["spectrogram"]).starts_with("iVBORw0KGgo")); // PNG
    assert_eq!(
        (
            sounds["axes"]["seconds"].as_f64(),
            sounds["axes"]["hertz"].as_f64()
        ),
        (Some(0.5), Some(4000.0))
    );
    assert_eq!(data["samples"][0]["versions"][0]["rate"], 12.5);
}

#[test]
fn samples_that_make_no_sense_are_refused() {
    let refused = |versions| {
        let samples = vec![set(versions)];
        page(&Page {
            samples,
            ..Page::default()
        })
        .unwrap_err()
    };
    assert!(matches!(refused(vec![]), EvalError::Unusable { .. }));
    assert!(matches!(
        refused(vec![picture("a", 8), sound("b")]),
        EvalError::Unusable { .. }
    ));
    assert!(matches!(
        refused(vec![picture("a", 8), picture("b", 9)]),
        EvalError::SizeMismatch { .. }
    ));
    let silent = version("a", SampleMedia::Sound(Sound::default()));
    assert!(matches!(refused(vec![silent]), EvalError::Unusable { .. }));
    assert!(matches!(
        refused(vec![picture("a", 0)]),
        EvalError::Unusable { .. }
    ));
}

#[test]
fn comparisons_are_told_or_explained() {
    let mut curves = published::kodak().unwrap();
    curves.push(nasty_curve());
    let first = curves[0].name.clone();
    let comparisons = compare(&curves, &[&first, "nobody"]);
    assert!(comparisons.len() >= curves.len() - 1);
    assert!(
        comparisons
            .iter()
            .all(|c| c.anchor == first && c.test != first)
    );
    let html = tables::comparisons(&Page {
        comparisons: vec![
            Comparison {
                test: "a".into(),
                anchor: "b".into(),
                metric: "lpips-alex".into(),
                outcome: Ok(BdRate {
                    percent: -12.34,
                    interval: (-0.5, -0.25),
                    share: 0.1,
                }),
            },
            Comparison {
                test: "c".into(),
                anchor: "b".into(),
                metric: "lpips-alex".into(),
                outcome: Err("too <few>".into()),
            },
        ],
        ..Page::default()
    });
    assert!(
        html.contains("−12.3%") && html.contains("0.2500 … 0.5000"),
        "{html}"
    );
    assert!(html.matches('⚠').count() == 2 && html.contains("too &lt;few&gt;"));
}

#[test]
fn curves_of_one_name_stay_apart() {
    let curves = published::kodak_anchors().unwrap();
    let labels = labels(&curves);
    assert!(labels.contains(&"WebP (2)".to_owned()), "{labels:?}");
    let html = tables::comparisons(&Page {
        comparisons: compare(&curves, &["JPEG", "WebP (2)"]),
        ..Page::default()
    });
    let rows = |label: &str| {
        html.matches(&format!("<th scope=\"row\">{label}</th>"))
            .count()
    };
    assert!(rows("WebP") > 0 && rows("WebP (2)") == rows("WebP"));
    assert!(html.contains("against WebP (2)"));
}

#[test]
fn an_empty_page_is_a_page() {
    let text = page(&Page::default()).unwrap();
    assert!(text.contains("There are no curves") && text.trim_end().ends_with("</html>"));
    assert!(data(&text)["curves"].as_array().unwrap().is_empty());
}
