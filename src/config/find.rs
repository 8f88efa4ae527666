//! Where the configuration and the state are, and reading the files. The only part of the configuration that asks the
//! file system what there is.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::MAIN_FILE;
use super::section::{File, Problems};

/// No configuration file is larger.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Where state is kept: `$STATE_DIRECTORY` (systemd), else the user's data folder.
pub fn state_directory() -> PathBuf {
    match folders_of_service("STATE_DIRECTORY").into_iter().next() {
        Some(folder) => folder,
        None => user_folder("XDG_DATA_HOME", ".local/share").join("newswatch"),
    }
}

/// The main file. The error says where it was looked for and what to do.
pub(super) fn main_file(explicit: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = explicit {
        let file = if path.is_dir() { path.join(MAIN_FILE) } else { path.to_path_buf() };
        if file.is_file() {
            return Ok(file);
        }
        let advice = "give a file or a folder that holds one, or write one with `newswatch init`";
        return Err(format!("there is no configuration at {}; {advice}", file.display()));
    }
    let mut folders = folders_of_service("CONFIGURATION_DIRECTORY");
    folders.push(PathBuf::from("config"));
    folders.push(user_folder("XDG_CONFIG_HOME", ".config").join("newswatch"));
    let files: Vec<PathBuf> = folders.iter().map(|folder| folder.join(MAIN_FILE)).collect();
    if let Some(found) = files.iter().find(|file| file.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let advice = "give one with --config, or write one with `newswatch init`";
    Err(format!("no configuration found; looked for {}; {advice}", looked.join(", ")))
}

/// The folders that systemd names in a variable, separated by colons; none outside a service.
fn folders_of_service(variable: &str) -> Vec<PathBuf> {
    let value = env::var_os(variable).unwrap_or_default();
    env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect()
}

fn user_folder(variable: &str, below_home: &str) -> PathBuf {
    match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_else(|| ".".into())).join(below_home),
    }
}

/// The `*.toml` files of a folder in name order; a folder that is not there has none.
pub fn read_folder(folder: &Path, problems: &Problems) -> Vec<File> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.add(None, format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        // Editors leave hidden files behind.
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| read(path, problems)).collect()
}

/// One file; what stands in the way is a problem.
pub(super) fn read(path: &Path, problems: &Problems) -> Option<File> {
    let name = path.display().to_string();
    let bytes = std::fs::metadata(path).and_then(|metadata| {
        if metadata.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!("the file is larger than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read(path)
    });
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.add(None, format!("{name}: {error}"));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(File::new(&name, text)),
        Err(error) => {
            let valid_up_to = error.utf8_error().valid_up_to();
            let readable = File::new(&name, String::from_utf8_lossy(error.as_bytes()).into_owned());
            problems.add(Some(readable.place(valid_up_to)), "the file is not UTF-8 from here on; save it as UTF-8");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_name_order_without_what_editors_leave() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20-b.toml", "10-a.toml", ".10-a.toml.swp", ".hidden.toml", "old.toml~", "notes.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let problems = Problems::default();
        let files = read_folder(folder.path(), &problems);
        let names: Vec<_> = files.iter().map(|file| Path::new(file.name()).file_name().unwrap()).collect();
        assert_eq!(names, ["10-a.toml", "20-b.toml"]);
        assert_eq!(read_folder(&folder.path().join("none"), &problems).len(), 0);
        assert!(problems.is_empty());
    }

    #[test]
    fn a_missing_main_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join(MAIN_FILE);
        let message = main_file(Some(folder.path())).unwrap_err();
        assert!(message.contains(&missing.display().to_string()) && message.contains("newswatch init"), "{message}");
        std::fs::write(&missing, "").unwrap();
        assert_eq!(main_file(Some(folder.path())), Ok(missing.clone()));
        assert_eq!(main_file(Some(&missing)), Ok(missing));
    }
}
