//! --rebuild: the database anew, from the pictures and from what the old one still tells.

use crate::config::Config;
use crate::daemon;
use crate::store::{Rebuilt, Store};

/// Rebuilds and prints what was done. Fails while a daemon runs.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let storage = &config.storage;
    let rebuild = Store::rebuild(storage.images.clone(), storage.database.clone(), daemon::owed_to(config));
    let rebuilt = super::runtime()?.block_on(rebuild)?;
    super::output::say(&told(&rebuilt, &storage.database.display().to_string()));
    Ok(())
}

/// What was done, line by line.
fn told(rebuilt: &Rebuilt, database: &str) -> String {
    let (carried, reconciled) = (&rebuilt.carried, &rebuilt.reconciled);
    let mut lines = vec![format!(
        "{database} was built anew: {} pictures, {} uploads owed",
        rebuilt.images, rebuilt.owed
    )];
    match &rebuilt.set_aside {
        Some(path) => lines.push(format!("the old database was kept as {}", path.display())),
        None => lines.push("there was no old database".to_owned()),
    }
    let yes = |is_kept: bool| if is_kept { "kept" } else { "not there, or not readable" };
    lines.push(format!(
        "password and settings: {}; tokens: {}",
        yes(carried.has_settings),
        yes(carried.has_tokens)
    ));
    lines.push(format!(
        "from the old database: {} triggers, {} pictures, {} deliveries; {} rows could not be read, {} did not fit their \
         file",
        carried.triggers, carried.images, carried.delivered, carried.unreadable, carried.refused
    ));
    lines.push(format!(
        "from the directory: {} adopted, {} set aside, {} missing, {} to be looked at again",
        reconciled.adopted, reconciled.quarantined, reconciled.missing, reconciled.unfinished
    ));
    lines.join("\n")
}
