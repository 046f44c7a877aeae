//! From the paths of the command line to a list of inputs, each with its output.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::args::OutputArgs;
use crate::exit::usage;
use crate::output::Target;

/// Extensions of pictures, both for searching folders and for recognising an output.
pub const PICTURES: &[&str] = &[
    "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "pnm", "pbm", "pgm", "ppm", "pam",
    "qoi",
];
/// Extensions of what is searched for in folders: pictures, then sounds.
pub const MEDIA: &[&str] = &both::<{ PICTURES.len() + codec::sound::FileFormat::READ.len() }>(
    PICTURES,
    codec::sound::FileFormat::READ,
);
/// Extensions of what is written: pictures, then sounds.
pub const WRITTEN: &[&str] = &both::<{ PICTURES.len() + SOUNDS.len() }>(PICTURES, SOUNDS);
/// Extensions of sounds that are written.
pub const SOUNDS: &[&str] = &["wav", "wave", "flac"];
/// Extension of our files.
pub const OURS: &[&str] = &[codec::EXTENSION];

/// One list after the other; `N` is the length of both together.
const fn both<const N: usize>(
    first: &[&'static str],
    second: &[&'static str],
) -> [&'static str; N] {
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() {
            first[at]
        } else {
            second[at - first.len()]
        };
        at += 1;
    }
    all
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// Reads all of it, up to the limit on the size of files.
    ///
    /// # Errors
    /// I/O errors, and the limit's.
    pub fn read(&self, limits: &codec::Limits) -> anyhow::Result<Vec<u8>> {
        let most = limits.max_file_bytes.saturating_add(1);
        let mut bytes = Vec::new();
        match self {
            Self::Stdin => std::io::stdin()
                .lock()
                .take(most)
                .read_to_end(&mut bytes)
                .context("cannot read stdin")?,
            Self::File(path) => {
                let file = fs::File::open(path).context("cannot open")?;
                file.take(most)
                    .read_to_end(&mut bytes)
                    .context("cannot read")?
            }
        };
        limits.check_file(bytes.len() as u64)?;
        Ok(bytes)
    }
}

/// One input and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where it comes from.
    pub source: Source,
    /// Where it goes.
    pub target: Target,
    /// Why it cannot be done, as far as the paths tell.
    pub conflict: Option<String>,
}

/// The two sides of a command.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// Extensions to look for in folders.
    pub inputs: &'static [&'static str],
    /// Extensions that make the last of two paths the output.
    pub outputs: &'static [&'static str],
    /// Extension of derived names.
    pub derived: Derived,
}

/// Extension of a name that is derived from that of the input.
#[derive(Debug, Clone, Copy)]
pub enum Derived {
    /// The same for all.
    Always(&'static str),
    /// What the input holds decides: the extension for sounds if the test finds one, else the other.
    ByContent {
        /// Whether the input holds sound.
        is_sound: fn(&Path) -> bool,
        /// For sounds.
        sound: &'static str,
        /// For anything else.
        other: &'static str,
    },
}

impl Derived {
    fn extension(self, input: &Path) -> &'static str {
        match self {
            Self::Always(extension) => extension,
            Self::ByContent {
                is_sound, sound, ..
            } if is_sound(input) => sound,
            Self::ByContent { other, .. } => other,
        }
    }
}

/// Pairs inputs with outputs.
///
/// The last of two paths is the output when it is `-` or ends in an extension of the other side. Otherwise `--output` or
/// `--output-dir` decide, and without them the name is derived beside the input.
///
/// # Errors
/// Usage errors; folders that cannot be read or hold nothing.
pub fn plan(inputs: &[PathBuf], options: &OutputArgs, sides: Sides) -> anyhow::Result<Vec<Job>> {
    let mut inputs = inputs;
    let mut output = options.output.as_deref();
    if let ([input, last], None, None) = (inputs, output, &options.output_dir)
        && (is_dash(last) || has_extension(last, sides.outputs))
    {
        inputs = std::slice::from_ref(input);
        output = Some(last);
    }
    if inputs.iter().filter(|input| is_dash(input)).count() > 1 {
        return Err(usage("stdin (-) can be read only once"));
    }
    let mut jobs = Vec::new();
    if let Some(output) = output {
        let [input] = inputs else {
            let count = inputs.len();
            return Err(usage(format!(
                "--output takes one input, not {count} (use --output-dir)"
            )));
        };
        if input.is_dir() {
            return Err(usage(format!(
                "{} is a folder (use --output-dir)",
                input.display()
            )));
        }
        let target = if is_dash(output) {
            Target::Stdout
        } else {
            Target::File(output.to_path_buf())
        };
        jobs.push(Job {
            source: source(input),
            target,
            conflict: None,
        });
    } else {
        for input in inputs {
            jobs.extend(derive(input, options.output_dir.as_deref(), sides)?);
        }
    }
    if jobs.iter().any(|job| job.target == Target::Stdout) {
        if options.json {
            return Err(usage("--json and output to stdout exclude each other"));
        }
        if std::io::stdout().is_terminal() {
            return Err(usage(
                "the output is binary and stdout is a terminal (use --output)",
            ));
        }
    }
    find_conflicts(&mut jobs);
    Ok(jobs)
}

/// Jobs of one input without an explicit output.
fn derive(input: &Path, folder: Option<&Path>, sides: Sides) -> anyhow::Result<Vec<Job>> {
    if is_dash(input) {
        if folder.is_some() {
            return Err(usage(
                "stdin (-) has no name for --output-dir (use --output)",
            ));
        }
        return Ok(vec![Job {
            source: Source::Stdin,
            target: Target::Stdout,
            conflict: None,
        }]);
    }
    let job = |path: PathBuf, relative: &Path| {
        let extension = sides.derived.extension(&path);
        let target = match folder {
            Some(folder) => folder.join(relative.with_extension(extension)),
            None => path.with_extension(extension),
        };
        Job {
            source: Source::File(path),
            target: Target::File(target),
            conflict: None,
        }
    };
    if !input.is_dir() {
        let name = input
            .file_name()
            .map_or_else(|| input.to_path_buf(), PathBuf::from);
        return Ok(vec![job(input.to_path_buf(), &name)]);
    }
    let mut found = Vec::new();
    search(input, Path::new(""), sides.inputs, &mut found)
        .with_context(|| format!("cannot search {}", input.display()))?;
    if found.is_empty() {
        anyhow::bail!(
            "no file in {} ends in {}",
            input.display(),
            sides.inputs.join(", ")
        );
    }
    Ok(found
        .into_iter()
        .map(|relative| job(input.join(&relative), &relative))
        .collect())
}

/// Collects paths below `root` in the order of their names. Links to folders are not followed, hidden files left out.
fn search(
    root: &Path,
    below: &Path,
    extensions: &[&str],
    found: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    let mut entries = fs::read_dir(root.join(below))?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let relative = below.join(entry.file_name());
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            search(root, &relative, extensions, found)?;
        } else if has_extension(&relative, extensions) && entry.path().is_file() {
            found.push(relative);
        }
    }
    Ok(())
}

/// Marks jobs that would overwrite an input, or the output of an earlier job.
fn find_conflicts(jobs: &mut [Job]) {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let sources: BTreeSet<_> = jobs
        .iter()
        .filter_map(|job| real(job.source.path()?))
        .collect();
    let mut targets: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for job in jobs {
        let Some(target) = job.target.path() else {
            continue;
        };
        if real(target).is_some_and(|target| sources.contains(&target)) {
            job.conflict = Some(format!("output {} is an input", target.display()));
        } else if let Some(other) = targets.get(target) {
            job.conflict = Some(format!(
                "output {} is already that of {}",
                target.display(),
                other.display()
            ));
        } else if let Some(source) = job.source.path() {
            targets.insert(target.to_path_buf(), source.to_path_buf());
        }
    }
}

fn source(path: &Path) -> Source {
    if is_dash(path) {
        Source::Stdin
    } else {
        Source::File(path.to_path_buf())
    }
}

/// Inputs of commands that have no outputs: files, `-`, and what folders hold.
///
/// # Errors
/// As [`plan`].
pub fn sources(
    inputs: &[PathBuf],
    extensions: &'static [&'static str],
) -> anyhow::Result<Vec<Source>> {
    let sides = Sides {
        inputs: extensions,
        outputs: &[],
        derived: Derived::Always(""),
    };
    let mut all = Vec::new();
    for input in inputs {
        if is_dash(input) {
            all.push(Source::Stdin);
        } else {
            all.extend(
                derive(input, None, sides)?
                    .into_iter()
                    .map(|job| job.source),
            );
        }
    }
    Ok(all)
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| {
        extensions
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODE: Sides = Sides {
        inputs: PICTURES,
        outputs: OURS,
        derived: Derived::Always("ncx"),
    };
    const DECODE: Sides = Sides {
        inputs: OURS,
        outputs: PICTURES,
        derived: Derived::Always("png"),
    };

    fn options() -> OutputArgs {
        OutputArgs {
            output: None,
            output_dir: None,
            force: false,
            skip_existing: false,
            fail_fast: false,
            json: false,
        }
    }

    fn pairs(jobs: &[Job]) -> Vec<(String, String)> {
        let show = |path: Option<&Path>| path.map_or("-".into(), |path| path.display().to_string());
        jobs.iter()
            .map(|job| (show(job.source.path()), show(job.target.path())))
            .collect()
    }

    fn planned(
        inputs: &[&str],
        options: &OutputArgs,
        sides: Sides,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let inputs: Vec<_> = inputs.iter().map(PathBuf::from).collect();
        Ok(pairs(&plan(&inputs, options, sides)?))
    }

    fn strings(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn names_are_derived_beside_the_input() {
        let plan = planned(&["x/photo.png", "b.tar.jpeg"], &options(), ENCODE).unwrap();
        assert_eq!(
            plan,
            strings(&[("x/photo.png", "x/photo.ncx"), ("b.tar.jpeg", "b.tar.ncx")])
        );
        let plan = planned(&["x/photo.ncx"], &options(), DECODE).unwrap();
        assert_eq!(plan, strings(&[("x/photo.ncx", "x/photo.png")]));
    }

    #[test]
    fn the_last_of_two_paths_is_the_output_if_it_is_of_the_other_side() {
        let two = |a, b, sides| planned(&[a, b], &options(), sides).unwrap();
        assert_eq!(
            two("a.png", "b.NCX", ENCODE),
            strings(&[("a.png", "b.NCX")])
        );
        assert_eq!(
            two("a.png", "b.png", ENCODE),
            strings(&[("a.png", "a.ncx"), ("b.png", "b.ncx")])
        );
        assert_eq!(
            two("a.ncx", "b.jpg", DECODE),
            strings(&[("a.ncx", "b.jpg")])
        );
        assert_eq!(
            two("a.ncx", "b.ncx", DECODE),
            strings(&[("a.ncx", "a.png"), ("b.ncx", "b.png")])
        );
        assert_eq!(two("-", "b.ncx", ENCODE), strings(&[("-", "b.ncx")]));
    }

    #[test]
    fn output_options_decide() {
        let to = OutputArgs {
            output: Some("o.bin".into()),
            ..options()
        };
        assert_eq!(
            planned(&["a.png"], &to, ENCODE).unwrap(),
            strings(&[("a.png", "o.bin")])
        );
        assert!(
            planned(&["a.png", "b.png"], &to, ENCODE)
                .unwrap_err()
                .to_string()
                .contains("--output-dir")
        );
        let into = OutputArgs {
            output_dir: Some("out".into()),
            ..options()
        };
        let plan = planned(&["x/a.png", "b.ncx"], &into, ENCODE).unwrap();
        assert_eq!(
            plan,
            strings(&[("x/a.png", "out/a.ncx"), ("b.ncx", "out/b.ncx")])
        );
        assert!(planned(&["-"], &into, ENCODE).is_err());
        assert!(planned(&["-", "-", "-"], &options(), ENCODE).is_err());
    }

    #[test]
    fn json_and_stdout_exclude_each_other() {
        let both = OutputArgs {
            output: Some("-".into()),
            json: true,
            ..options()
        };
        let error = planned(&["a.png"], &both, ENCODE).unwrap_err();
        assert_eq!(crate::exit::Status::of(&error).code(), 2);
    }

    #[test]
    fn folders_are_searched_and_mirrored() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sub/.hidden")).unwrap();
        for name in [
            "b.png",
            "a.JPG",
            "notes.txt",
            "sub/c.webp",
            "sub/.hidden/d.png",
            ".e.png",
        ] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        let into = OutputArgs {
            output_dir: Some("out".into()),
            ..options()
        };
        let jobs = plan(&[folder.path().to_path_buf()], &into, ENCODE).unwrap();
        let targets: Vec<_> = jobs
            .iter()
            .map(|job| job.target.path().unwrap().display().to_string())
            .collect();
        assert_eq!(targets, ["out/a.ncx", "out/b.ncx", "out/sub/c.ncx"]);
        let jobs = plan(&[folder.path().to_path_buf()], &options(), ENCODE).unwrap();
        assert_eq!(
            jobs[2].target.path().unwrap(),
            folder.path().join("sub/c.ncx")
        );
        assert!(plan(&[folder.path().to_path_buf()], &options(), DECODE).is_err());
    }

    #[test]
    fn inputs_are_never_overwritten_and_no_output_is_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.png", "a.jpg", "b.ncx"] {
            fs::write(path(name), b"x").unwrap();
        }
        let jobs = plan(
            &[path("a.png"), path("a.jpg"), path("b.ncx")],
            &options(),
            ENCODE,
        )
        .unwrap();
        assert_eq!(jobs[0].conflict, None);
        assert!(
            jobs[1]
                .conflict
                .as_ref()
                .unwrap()
                .contains("already that of")
        );
        assert!(jobs[2].conflict.as_ref().unwrap().contains("is an input"));
    }
}
