//! Puts the plugin in place, and takes it away.
//!
//! containerd runs every entry of its `bin_dir` for every pull, so nothing
//! but the finished entry ever appears there: files are written elsewhere,
//! and the entry is a link that is made or renamed in one step.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::config::Config;
use super::{CONFIG, PROGRAM, trusted};
use crate::engine::{Engine, Error};
use crate::limits::Limits;

/// What to put where.
#[derive(Debug, Clone)]
pub struct Placing {
    /// The program to copy: this ocisign.
    pub program: PathBuf,
    /// containerd's directory of verifiers.
    pub bin_dir: PathBuf,
    /// Where the copy and its configuration go.
    pub config_dir: PathBuf,
    /// The configuration.
    pub config: Config,
}

/// What was put where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The entry of the `bin_dir`: a link to `program`.
    pub entry: PathBuf,
    /// The copy of the program.
    pub program: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
}

/// What was taken away; empty where nothing was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed(pub Vec<PathBuf>);

/// What stands in the `bin_dir` under the plugin's name.
enum Entry {
    None,
    /// A link to a program of the plugin's name.
    Ours(PathBuf),
}

/// Puts the plugin in place: program, configuration, then the link that
/// switches it on. Doing it again brings all of them up to date.
///
/// # Errors
/// [`Error::Usage`] where it would not work or would not be safe; nothing is
/// in the `bin_dir` then that was not there before. [`Error::Invalid`] for a
/// policy that does not load, [`Error::File`] where something cannot be
/// written.
pub fn install(placing: &Placing) -> Result<Installed, Error> {
    let placing = absolute(placing)?;
    check_policy(&placing.config)?;
    let (bin_dir, config_dir) = (&placing.bin_dir, &placing.config_dir);
    make_directory(bin_dir)?;
    make_directory(config_dir)?;
    check_apart(&placing)?;
    let entry = bin_dir.join(PROGRAM);
    let before = entry_at(&entry)?;
    let installed =
        Installed { program: config_dir.join(PROGRAM), config: config_dir.join(CONFIG), entry };
    if !same_file(&placing.program, &installed.program) {
        let program = fs::read(&placing.program).map_err(failed("read", &placing.program))?;
        write(&installed.program, &program, 0o755)?;
    }
    write(&installed.config, placing.config.text().as_bytes(), 0o644)?;
    for file in [&installed.program, &installed.config] {
        trusted::check(file).map_err(Error::Usage)?;
    }
    link(&installed, &before)?;
    Ok(installed)
}

/// Takes the plugin away: first the link, so that nothing dangles, then what
/// it led to. Policy and cache stay.
///
/// # Errors
/// [`Error::Usage`] where the entry is of somebody else, [`Error::File`]
/// where something cannot be removed.
pub fn uninstall(bin_dir: &Path, config_dir: Option<&Path>) -> Result<Removed, Error> {
    let entry = bin_dir.join(PROGRAM);
    let mut removed = Removed::default();
    let mut directory = config_dir.map(Path::to_owned);
    if let Entry::Ours(target) = entry_at(&entry)? {
        removed.remove(&entry)?;
        directory = directory.or_else(|| target.parent().map(Path::to_owned));
    }
    if let Some(directory) = directory {
        removed.remove(&directory.join(PROGRAM))?;
        removed.remove(&directory.join(CONFIG))?;
    }
    Ok(removed)
}

impl Removed {
    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Ok(()) => self.0.push(path.to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", path)(error)),
        }
        Ok(())
    }
}

fn absolute(placing: &Placing) -> Result<Placing, Error> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(failed("find", path));
    let mut placing = placing.clone();
    placing.bin_dir = absolute(&placing.bin_dir)?;
    placing.config_dir = absolute(&placing.config_dir)?;
    let config = &mut placing.config;
    let lists = config.ca.iter_mut().chain(&mut config.auth_files).chain(&mut config.hosts);
    let cache = config.cache.iter_mut().map(|cache| &mut cache.dir);
    for path in lists.chain(cache).chain([&mut config.policy]) {
        *path = absolute(path)?;
    }
    Config::parse(config.text().as_bytes())
        .map_err(|why| Error::Usage(format!("the configuration {why}")))?;
    Ok(placing)
}

fn check_policy(config: &Config) -> Result<(), Error> {
    let engine = Engine::load(&config.policy, &Limits::default())?;
    let directory = config.policy.parent().unwrap_or(&config.policy);
    trusted::check(&config.policy)
        .and_then(|()| trusted::check_keys(engine.policy().document(), directory))
        .map_err(|why| Error::Usage(format!("the policy is not safe: {why}")))
}

/// Nothing of the plugin may lie where containerd would run it.
fn check_apart(placing: &Placing) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let bin_dir = real(&placing.bin_dir);
    let config = &placing.config;
    let cache = config.cache.iter().map(|cache| &cache.dir);
    for path in [&placing.config_dir, &config.policy].into_iter().chain(cache) {
        if real(path).starts_with(&bin_dir) {
            let (path, bin_dir) = (path.display(), placing.bin_dir.display());
            return Err(Error::Usage(format!(
                "`{path}` lies in `{bin_dir}`, where containerd would run it and block every \
                 pull; choose another place"
            )));
        }
    }
    Ok(())
}

fn entry_at(entry: &Path) -> Result<Entry, Error> {
    let foreign = || {
        let entry = entry.display();
        Error::Usage(format!(
            "`{entry}` is there already and was not made by `ocisign containerd install`; \
             look at it, and remove it if nobody needs it"
        ))
    };
    match fs::symlink_metadata(entry) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Entry::None),
        Err(error) => Err(failed("read", entry)(error)),
        Ok(found) if !found.is_symlink() => Err(foreign()),
        Ok(_) => {
            let target = fs::read_link(entry).map_err(failed("read", entry))?;
            match target.file_name() == Some(PROGRAM.as_ref()) {
                true => Ok(Entry::Ours(target)),
                false => Err(foreign()),
            }
        }
    }
}

/// The link appears, or is replaced, in one step.
fn link(installed: &Installed, before: &Entry) -> Result<(), Error> {
    let (entry, program) = (&installed.entry, &installed.program);
    match before {
        Entry::Ours(target) if target == program => Ok(()),
        Entry::None => symlink(program, entry).map_err(failed("make", entry)),
        Entry::Ours(_) => {
            // beside the bin_dir and not in it: there it would be run
            let beside = entry.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
            let name = format!(".{PROGRAM}.{}", std::process::id());
            let made = beside.join(name);
            symlink(program, &made).map_err(failed("make", &made))?;
            fs::rename(&made, entry).map_err(|error| {
                let _ = fs::remove_file(&made);
                let entry = entry.display();
                Error::Usage(format!(
                    "`{entry}` cannot be replaced in one step ({error}), and without it pulls \
                     would go unverified for a moment; stop pulls, run `ocisign containerd \
                     uninstall`, and install again"
                ))
            })
        }
    }
}

fn make_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("make", path))
}

/// Writes a file that appears, or is replaced, whole.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = failed("write", path);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let work = || {
        let mut file = tempfile::Builder::new().prefix(".ocisign-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    work().map_err(failed)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn failed(what: &str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    let what = format!("{what} `{}`", path.display());
    move |source| Error::File { what: what.clone(), source }
}
