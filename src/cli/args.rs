//! What was asked for on the command line.
//!
//! Wrong usage ends the program with status 2 and a sentence. A password is never an argument: arguments are visible
//! to every user of the machine, so one that is given is refused without being repeated.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser};

use crate::model::CameraKey;

/// Longest `--seconds`, a day.
const SECONDS_MAX: u64 = 86_400;

/// The command line, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// What to do.
    pub mode: RunMode,
    /// `--env-file`; `None` is `.env` in the working directory, if there is one.
    pub env_file: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Run until a signal.
    Daemon,
    /// Run everything with simulated contacts and cameras.
    Demo {
        /// Where; `None` is a fresh temporary directory.
        dir: Option<PathBuf>,
    },
    /// One picture from every camera, with a verdict.
    TestCapture {
        /// Which cameras; none named are all enabled ones.
        keys: Vec<CameraKey>,
        /// The verdict as one JSON document.
        json: bool,
    },
    /// A test picture for every upload target, with a verdict.
    TestUpload {
        /// Which targets; none named are all in use. Whether they are there only the configuration tells.
        targets: Vec<String>,
        /// The verdict as one JSON document.
        json: bool,
    },
    /// Print the edges of the contacts.
    TestGpio {
        /// For how long, 1 to 86400; `None` is until a signal.
        seconds: Option<u64>,
    },
    /// One retention run.
    CleanupNow {
        /// Only say what would go.
        dry_run: bool,
    },
    /// Bring in an old installation.
    Import {
        /// Its folder.
        from: PathBuf,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Build the database anew from the picture directory.
    Rebuild,
    /// Set the password of the dashboard.
    SetPassword {
        /// Read one line from standard input instead of asking on the terminal.
        stdin: bool,
    },
    /// Check the configuration and print it.
    CheckConfig,
}

impl Args {
    /// Reads the arguments of the process. Ends the process for `--help` and `--version` (status 0) and for wrong usage
    /// (status 2).
    pub fn from_process() -> Self {
        Self::try_parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Reads `arguments`, the first of which is the name of the program. The error knows its exit status and never
    /// contains a password.
    pub fn try_parse_from<A: Into<OsString>>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        refuse_password(&arguments)?;
        match Flags::try_parse_from(&arguments) {
            Ok(flags) => flags.into_args(),
            Err(error) if error.use_stderr() && arguments.iter().any(is_set_password) => {
                Err(usage_of_set_password())
            }
            Err(error) => Err(error),
        }
    }
}

/// The flag itself, with or without a value behind `=`.
#[allow(clippy::ptr_arg, reason = "used as a predicate on a vector of them")]
fn is_set_password(argument: &OsString) -> bool {
    let text = argument.to_string_lossy();
    text == "--set-password" || text.starts_with("--set-password=")
}

/// Refuses whatever follows `--set-password` unless it is `-` or another long flag, before clap, which repeats what it
/// does not know (and would take `-hunter2` for a request for help).
fn refuse_password(arguments: &[OsString]) -> Result<(), clap::Error> {
    let Some(at) = arguments.iter().position(is_set_password) else { return Ok(()) };
    let flag = arguments[at].to_string_lossy();
    let value = match flag.split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => arguments.get(at + 1).map(|next| next.to_string_lossy().into_owned()),
    };
    match value.as_deref() {
        None | Some("-") => Ok(()),
        Some(text) if text.starts_with("--") && !flag.contains('=') => Ok(()),
        Some(_) => Err(usage_of_set_password()),
    }
}

fn usage_of_set_password() -> clap::Error {
    Flags::command().error(
        ErrorKind::ValueValidation,
        "wrong usage of --set-password: a password is not taken as an argument, because every user of this machine \
         could read it in the list of processes (ps); use --set-password to be asked for it, or --set-password - to \
         pass it on standard input (the arguments are not repeated here)",
    )
}

/// The picture of the instant a contact closes, kept safe and delivered.
///
/// Without a mode it runs the daemon: it watches the contacts, takes a frame of the camera for each trigger, stores
/// it, delivers it, and serves the dashboard.
#[derive(Debug, Parser)]
#[command(
    name = "camera-capture",
    version,
    max_term_width = 100,
    group = ArgGroup::new("mode").multiple(false),
    after_help = "\
Exit status:
  0   done; for the daemon: stopped by SIGTERM or SIGINT with everything safe
  1   what was asked for failed
  2   wrong usage
  78  the configuration is wrong; --check-config lists every problem

Settings are environment variables, from the process or from the environment file; env.example lists them all.

Examples:
  camera-capture --demo                     see it work without cameras or contacts
  camera-capture --check-config             check the settings before the start
  camera-capture --test-capture r1 r2       one picture from two cameras, with a verdict
  camera-capture --test-capture --json      the same from every camera, for a program
  camera-capture --test-upload api          a test picture to the HTTP API, and where it gets stuck
  camera-capture --import /home/pi/camera --dry-run
  pass show gate | camera-capture --set-password -
  camera-capture --env-file /etc/camera-capture/camera-capture.env"
)]
struct Flags {
    /// Run everything with simulated contacts, synthetic cameras and a local receiver; no hardware, no network
    #[arg(long, group = "mode", help_heading = "Modes")]
    demo: bool,

    /// One frame from every enabled camera, or from those named, with a verdict in words
    #[arg(long, group = "mode", value_name = "KEY", num_args = 0.., value_parser = CameraKey::parse)]
    #[arg(help_heading = "Modes")]
    test_capture: Option<Vec<CameraKey>>,

    /// A test picture for every upload target in use, or for those named, and what was seen on the way step by step
    #[arg(long, group = "mode", value_name = "TARGET", num_args = 0.., help_heading = "Modes")]
    test_upload: Option<Vec<String>>,

    /// Print every edge of the contacts, and which camera it would trigger
    #[arg(long, group = "mode", help_heading = "Modes")]
    test_gpio: bool,

    /// One retention run: print what went, and what was kept and why
    #[arg(long, group = "mode", help_heading = "Modes")]
    cleanup_now: bool,

    /// Bring in pictures and lists of an old installation in DIR, and say which of its settings differ
    #[arg(long, group = "mode", value_name = "DIR", help_heading = "Modes")]
    import: Option<PathBuf>,

    /// Build the database anew from the pictures; the old one is renamed, and what it still tells is carried over
    #[arg(long, group = "mode", help_heading = "Modes")]
    rebuild: bool,

    /// Set the dashboard's password: asks on the terminal, or with - reads one line from standard input
    #[arg(long, group = "mode", value_name = "-", num_args = 0..=1, default_missing_value = "")]
    #[arg(help_heading = "Modes")]
    set_password: Option<String>,

    /// Print every problem of the configuration, or the effective configuration without secrets
    #[arg(long, group = "mode", help_heading = "Modes")]
    check_config: bool,

    /// Environment file; variables of the process win over it [default: .env, if it exists]
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,

    /// Directory of the demonstration [default: a fresh temporary one]
    #[arg(long, value_name = "DIR")]
    demo_dir: Option<PathBuf>,

    /// How long --test-gpio watches [default: until Ctrl-C]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: Option<u64>,

    /// Let --test-capture and --test-upload print their verdict as one JSON document
    #[arg(long)]
    json: bool,

    /// Let --cleanup-now and --import only say what they would do
    #[arg(long)]
    dry_run: bool,
}

impl Flags {
    fn into_args(self) -> Result<Args, clap::Error> {
        // clap's `requires` is silent when another mode excludes the one that is required.
        for (option, given, flag, its_mode) in [
            ("--demo-dir", self.demo_dir.is_some(), "--demo", self.demo),
            ("--seconds", self.seconds.is_some(), "--test-gpio", self.test_gpio),
            (
                "--dry-run",
                self.dry_run,
                "--cleanup-now and --import",
                self.cleanup_now || self.import.is_some(),
            ),
            (
                "--json",
                self.json,
                "--test-capture and --test-upload",
                self.test_capture.is_some() || self.test_upload.is_some(),
            ),
        ] {
            if given && !its_mode {
                let text = format!("{option} goes with {flag} only");
                return Err(Self::command().error(ErrorKind::MissingRequiredArgument, text));
            }
        }
        let mode = if self.demo {
            RunMode::Demo { dir: self.demo_dir }
        } else if let Some(keys) = self.test_capture {
            RunMode::TestCapture { keys, json: self.json }
        } else if let Some(targets) = self.test_upload {
            RunMode::TestUpload { targets, json: self.json }
        } else if self.test_gpio {
            RunMode::TestGpio { seconds: self.seconds }
        } else if self.cleanup_now {
            RunMode::CleanupNow { dry_run: self.dry_run }
        } else if let Some(from) = self.import {
            RunMode::Import { from, dry_run: self.dry_run }
        } else if self.rebuild {
            RunMode::Rebuild
        } else if let Some(value) = self.set_password {
            RunMode::SetPassword { stdin: value == "-" }
        } else if self.check_config {
            RunMode::CheckConfig
        } else {
            RunMode::Daemon
        };
        Ok(Args { mode, env_file: self.env_file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("camera-capture").chain(line.split_whitespace()))
    }

    fn mode(line: &str) -> RunMode {
        parse(line).unwrap().mode
    }

    fn keys(list: &[&str]) -> RunMode {
        RunMode::TestCapture {
            keys: list.iter().map(|key| CameraKey::parse(key).unwrap()).collect(),
            json: false,
        }
    }

    #[test]
    fn the_definition_of_the_flags_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn every_mode_of_the_contract_is_understood() {
        assert_eq!(mode(""), RunMode::Daemon);
        assert_eq!(mode("--demo"), RunMode::Demo { dir: None });
        assert_eq!(mode("--demo --demo-dir /tmp/d"), RunMode::Demo { dir: Some("/tmp/d".into()) });
        assert_eq!(mode("--test-capture"), keys(&[]));
        assert_eq!(mode("--test-capture r1 gate-2"), keys(&["r1", "gate-2"]));
        assert_eq!(mode("--test-capture r1 --env-file x"), keys(&["r1"]));
        assert!(
            matches!(mode("--test-capture --json"), RunMode::TestCapture { keys, json: true } if keys.is_empty())
        );
        assert!(
            matches!(mode("--json --test-capture r1"), RunMode::TestCapture { keys, json: true } if keys.len() == 1)
        );
        let tried = |targets: &[&str], json| RunMode::TestUpload {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            json,
        };
        assert_eq!(mode("--test-upload"), tried(&[], false));
        assert_eq!(mode("--test-upload api s3"), tried(&["api", "s3"], false));
        assert_eq!(mode("--test-upload relay --json --env-file x"), tried(&["relay"], true));
        assert_eq!(mode("--test-gpio"), RunMode::TestGpio { seconds: None });
        assert_eq!(mode("--test-gpio --seconds 5"), RunMode::TestGpio { seconds: Some(5) });
        assert_eq!(mode("--cleanup-now"), RunMode::CleanupNow { dry_run: false });
        assert_eq!(mode("--dry-run --cleanup-now"), RunMode::CleanupNow { dry_run: true });
        assert_eq!(mode("--set-password"), RunMode::SetPassword { stdin: false });
        assert_eq!(mode("--set-password -"), RunMode::SetPassword { stdin: true });
        assert_eq!(mode("--set-password=-"), RunMode::SetPassword { stdin: true });
        assert_eq!(mode("--set-password --env-file x"), RunMode::SetPassword { stdin: false });
        let import = |dry_run| RunMode::Import { from: "/home/pi/camera".into(), dry_run };
        assert_eq!(mode("--import /home/pi/camera"), import(false));
        assert_eq!(mode("--import /home/pi/camera --dry-run"), import(true));
        assert_eq!(mode("--rebuild"), RunMode::Rebuild);
        assert_eq!(mode("--check-config"), RunMode::CheckConfig);
    }

    #[test]
    fn the_environment_file_goes_with_every_mode() {
        for line in ["", "--demo", "--test-capture", "--set-password -", "--check-config"] {
            let args = parse(&format!("{line} --env-file /etc/x.env")).unwrap();
            assert_eq!(args.env_file, Some(PathBuf::from("/etc/x.env")), "{line}");
        }
    }

    #[test]
    fn wrong_usage_ends_with_status_2() {
        for line in [
            "--demo --check-config",
            "--test-gpio --cleanup-now",
            "--set-password - --demo",
            "--demo-dir /tmp/d",
            "--seconds 5",
            "--dry-run",
            "--dry-run --check-config",
            "--json",
            "--json --check-config",
            "--test-upload --test-capture",
            "--test-upload api --dry-run",
            "--test-gpio --seconds 0",
            "--test-gpio --seconds 86401",
            "--test-capture ../etc",
            "--env-file",
            "--import",
            "--import /tmp/a --cleanup-now",
            "--verbose",
            "run",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_password_as_an_argument_is_refused_and_not_repeated() {
        for line in [
            "--set-password hunter2",
            "--set-password=hunter2",
            "--set-password=",
            "--set-password -hunter2",
            "--set-password --hunter2",
            "--set-password - hunter2",
            "--set-password correct hunter2",
            "--set-password --env-file x hunter2",
            "hunter2 --set-password",
        ] {
            let error = parse(line).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(!text.contains("hunter2") && text.contains("(ps)"), "{line}: {text}");
        }
    }

    #[test]
    fn help_and_version_end_with_status_0_and_say_what_a_stranger_needs() {
        let error = parse("--version").unwrap_err();
        assert_eq!(
            (error.exit_code(), error.to_string().as_str()),
            (0, concat!("camera-capture ", env!("CARGO_PKG_VERSION"), "\n"))
        );
        let error = parse("--help").unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 0);
        for part in [
            "--demo",
            "--test-capture",
            "--test-upload",
            "--set-password",
            "--env-file",
            "Exit status",
            "78",
            "Examples",
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
    }
}
