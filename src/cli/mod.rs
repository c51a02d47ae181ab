//! The command line: what each mode does, and with which exit status it ends.

pub mod args;
mod cleanup;
mod demo;
mod doctor;
mod doctor_ask;
mod doctor_probe;
mod doctor_report;
mod doctor_snapshot;
mod import;
mod import_report;
mod journal;
mod log_file;
mod output;
mod password;
mod place;
mod rebuild;
mod tryout;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Env, LogConfig, LogFormat, Warning};
use crate::daemon;
use crate::disk::retention;
use crate::model::chain::chain;
use crate::status::descriptors;
use crate::system::memory;
use crate::trigger;
use args::{Args, RunMode};
use log_file::{LastLines, LogFile};
use output::{Both, Log, say, say_error};

/// The thing asked for failed.
const FAILED: u8 = 1;

/// Wrong usage that only the configuration shows; the parser of the flags ends with the same.
const WRONG_USAGE: u8 = 2;

/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const BAD_CONFIGURATION: u8 = 78;

/// Something was asked for that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Does what the arguments ask for. Returns the exit status.
pub fn run(args: Args) -> ExitCode {
    memory::settle();
    descriptors::raise_limit();
    // One provider for all connections; installing it twice is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env_file = args.env_file;
    match args.mode {
        RunMode::Demo { dir } => done(demo::run(dir).map(|()| true)),
        RunMode::Daemon => configured(env_file, |config| serve(config).map(|()| true)),
        RunMode::TestCapture { keys, json } => {
            configured(env_file, |config| doctor::run(&config, &keys, json))
        }
        RunMode::TestUpload { targets, json } => {
            configured(env_file, |config| tryout::run(&config, &targets, json))
        }
        RunMode::TestGpio { seconds } => {
            configured(env_file, |config| test_gpio(&config, seconds).map(|()| true))
        }
        RunMode::CleanupNow { dry_run } => configured(env_file, |config| cleanup(&config, dry_run)),
        RunMode::Import { from, dry_run } => {
            let is_named = password::names_its_place(env_file.as_deref());
            let env = Env::load(env_file.as_deref()).unwrap_or_default();
            configured(env_file, |config| import::run(&config, &env, &from, dry_run, is_named))
        }
        RunMode::Rebuild => configured(env_file, |config| rebuild::run(&config).map(|()| true)),
        RunMode::SetPassword { stdin } => {
            let is_named = password::names_its_place(env_file.as_deref());
            configured(env_file, |config| password::run(&config, stdin, is_named).map(|()| true))
        }
        RunMode::CheckConfig => configured(env_file, |config| {
            for warning in place::warnings(&config) {
                say_error(&format!("warning: {warning}"));
            }
            say(&config.describe());
            Ok(true)
        }),
    }
}

/// Does `work` with the configuration, or says everything that is wrong with that. What looks suspicious goes to
/// standard error.
fn configured(env_file: Option<PathBuf>, work: impl FnOnce(Config) -> anyhow::Result<bool>) -> ExitCode {
    match Env::load(env_file.as_deref()).and_then(|env| Config::parse(&env)) {
        Ok((config, warnings)) => {
            say_warnings(&warnings);
            if let Some(text) = no_camera(&config) {
                say_error(&format!("warning: {text}"));
            }
            done(work(config))
        }
        Err(problems) => {
            say_error(&problems.to_string());
            // A mistyped name may be why another has no value.
            say_warnings(problems.warnings());
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// What is said where no picture can ever be taken.
fn no_camera(config: &Config) -> Option<&'static str> {
    if config.cameras.is_empty() {
        Some(
            "no camera is configured, so no picture is taken; set CAMERA_1_IP, CAMERA_1_RTSP or CAMERA_1_SNAPSHOT_URL",
        )
    } else if config.cameras.iter().all(|camera| !camera.enabled) {
        Some("no camera is enabled, so no picture is taken; set CAMERA_n_ENABLED=true")
    } else {
        None
    }
}

fn say_warnings(warnings: &[Warning]) {
    for warning in warnings {
        say_error(&format!("warning: {warning}"));
    }
}

/// The exit status of something asked for: `Ok(false)` is a failure that has been told already.
fn done(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            say_error(&format!("camera-capture: {}", chain(error.as_ref())));
            ExitCode::from(if error.is::<Usage>() { WRONG_USAGE } else { FAILED })
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    let _last_lines = start_log(&config.log);
    runtime()?.block_on(Box::pin(daemon::run(config, Arc::new(daemon::announce))))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Decoders, the database, password hashes: the queue in front of them is theirs; the unit's TasksMax has room.
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .context("start the runtime")
}

/// Writes the log to standard error, where systemd's journal takes it, and to its file, if there is one; that one's last
/// lines are waited for at the end.
fn start_log(config: &LogConfig) -> Option<LastLines> {
    // The web framework tells at info level how many threads it starts; an operator need not know.
    let quiet = format!("actix_server=warn,{}", config.filter);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let started = config.file.as_deref().map(LogFile::start).transpose();
    let (file, last_lines) = started.ok().flatten().unzip();
    let writer = move || Log(Both(std::io::stderr(), file.clone()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A log on a disk that is full or can only be read has nobody to tell it to: saying so on standard error would panic.
    let builder = builder.log_internal_errors(false);
    let result = match config.format {
        // Without colours: their escapes could not be told from those of others.
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = result {
        say_error(&format!("the log could not be started: {error}"));
    }
    last_lines
}

fn test_gpio(config: &Config, seconds: Option<u64>) -> anyhow::Result<()> {
    let lines = trigger::lines(config);
    if lines.is_empty() {
        anyhow::bail!("no enabled camera has a contact; set CAMERA_n_ENABLED and GPIO_CAMERA_n_PIN");
    }
    let stop = CancellationToken::new();
    let runtime = runtime()?;
    let signalled = stop.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            signalled.cancel();
        }
    });
    trigger::watcher::test_gpio(&config.gpio, &lines, seconds, &mut std::io::stdout(), &stop)?;
    Ok(())
}

/// `false` when the run was refused.
fn cleanup(config: &Config, dry_run: bool) -> anyhow::Result<bool> {
    if !config.storage.database.exists() {
        say(&format!("there is no database {} yet; nothing to clean up", config.storage.database.display()));
        return Ok(true);
    }
    let store = daemon::open_store(config)?;
    let report = runtime()?.block_on(retention::run(&store.retention(), &config.storage, dry_run))?;
    for name in &report.names {
        say(&format!("{} {name}", if dry_run { "would delete" } else { "deleted" }));
    }
    say(&cleanup::summary(&report));
    if let Some(reason) = &report.refused {
        say_error(&format!("camera-capture: {reason}"));
        return Ok(false);
    }
    Ok(true)
}
