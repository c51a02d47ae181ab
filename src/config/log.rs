//! `LOG_…`: the log.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, path};

/// Words of `LOG_FORMAT`.
pub(super) const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Levels by name, with the names other systems have for them.
const LEVELS: &[(&str, &str)] = &[
    ("off", "off"),
    ("error", "error"),
    ("warn", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
    ("warning", "warn"),
    ("critical", "error"),
];

/// Log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `LOG_LEVEL`: a level or a filter that `tracing_subscriber::EnvFilter` accepts.
    pub filter: String,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
    /// `LOG_FILE`: where the log is written besides standard error.
    pub file: Option<PathBuf>,
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let filter = reader.required("LOG_LEVEL", filter);
        let format = reader.required("LOG_FORMAT", choice(FORMATS));
        let file = reader.optional("LOG_FILE", path);
        Ok(Self { filter: filter?, format: format?, file: file? })
    }
}

/// A level, or directives such as `info,camera_capture::upload=debug`.
///
/// A bare word that is no level would be taken for the name of a module, with everything of it logged and nothing of
/// the others; it is refused.
fn filter(text: &str) -> Result<String, Wrong> {
    let accepted =
        "off, error, warn, info, debug, trace, or a filter such as info,camera_capture::upload=debug";
    let mut directives = Vec::new();
    for directive in text.split(',').map(str::trim) {
        let level = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(directive));
        match level {
            Some((_, level)) => directives.push(*level),
            None if directive.contains('=') => directives.push(directive),
            None => return Err(Wrong::new("names no level", accepted)),
        }
    }
    let filter = directives.join(",");
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(_) => Err(Wrong::new("not a filter", accepted)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    #[test]
    fn a_level_or_a_filter_is_read() {
        for (text, filter) in [
            ("DEBUG", "debug"),
            ("Warning", "warn"),
            ("critical", "error"),
            ("info, camera_capture::upload=debug", "info,camera_capture::upload=debug"),
        ] {
            assert_eq!(config(&[("LOG_LEVEL", text)]).log.filter, filter);
        }
        let log = config(&[]).log;
        assert_eq!((log.filter.as_str(), log.format), ("info", LogFormat::Text));
        assert_eq!(config(&[("LOG_FORMAT", "JSON")]).log.format, LogFormat::Json);
    }

    #[test]
    fn a_word_that_is_no_level_is_a_problem() {
        for text in ["verbose", "5", "info,verbose", "a=b=c", "info,", "x[=info"] {
            assert!(problem(&[("LOG_LEVEL", text)]).starts_with("LOG_LEVEL: n"), "{text}");
        }
        assert!(problem(&[("LOG_FORMAT", "xml")]).starts_with("LOG_FORMAT: not one of"));
    }
}
