//! `--test-upload`: a test picture for every target, and what was seen on the way to it, in words or as a document.

use crate::config::{Config, TargetSettings, UploadConfig};
use crate::model::{TargetId, TargetKind, foreign};
use crate::targets::{self, TryoutReport};

use super::output::{say, say_error};
use super::{Usage, runtime};

/// Of a word that is no target so many characters are repeated.
const WORD_MAX: usize = 40;

/// Tries out the targets that are named, or all in use. `true` when all took the picture.
pub(super) fn run(config: &Config, names: &[String], json: bool) -> anyhow::Result<bool> {
    let upload = &config.upload;
    let chosen = match chosen(upload, names) {
        Ok(chosen) => chosen,
        Err(error) => {
            if json {
                say(&format!("{:#}", targets::document(&[], Some(&format!("{error:#}")))));
            }
            return Err(error);
        }
    };
    if !upload.enabled {
        say_error("note: UPLOAD_ENABLED is false; nothing but this test picture is sent");
    }
    let reports = runtime()?.block_on(async {
        let mut reports = Vec::new();
        for kind in chosen {
            reports.extend(Box::pin(try_out(upload, kind, json)).await);
        }
        reports
    });
    if json {
        say(&format!("{:#}", targets::document(&reports, None)));
    }
    Ok(reports.iter().all(TryoutReport::is_ok))
}

async fn try_out(upload: &UploadConfig, kind: TargetId, json: bool) -> Option<TryoutReport> {
    if json {
        // The document comes at the end, in one piece.
        return targets::try_out(upload, kind, None, &mut |_| {}).await;
    }
    say(&format!("{kind}:"));
    let report = targets::try_out(upload, kind, None, &mut |step| say(&format!("  {}", step.line()))).await?;
    if let Some(picture) = &report.picture {
        say(&format!("  sent {} ({} bytes) to {}", picture.filename, picture.bytes, report.address));
    }
    say(&format!("{kind}: {}", if report.is_ok() { "fine" } else { "failed" }));
    Some(report)
}

/// The variables that say where a target is: `A, B or C`.
fn addresses() -> String {
    let all = TargetKind::ALL.map(|kind| TargetSettings::variables(kind).needed[0]);
    let [others @ .., last] = &all;
    format!("{} or {last}", others.join(", "))
}

fn chosen(upload: &UploadConfig, names: &[String]) -> anyhow::Result<Vec<TargetId>> {
    let there: Vec<TargetId> = upload.in_use().collect();
    if names.is_empty() {
        if there.is_empty() {
            anyhow::bail!("no upload target is configured; set {}", addresses());
        }
        return Ok(there);
    }
    let mut chosen = Vec::new();
    for name in names {
        let known = TargetId::parse(&name.to_ascii_lowercase()).filter(|kind| there.contains(kind));
        let Some(kind) = known else {
            let list: Vec<&str> = there.iter().map(|kind| kind.as_str()).collect();
            let list = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
            let is_kind = TargetId::parse(name).is_some();
            let what = if is_kind { "is not in use here" } else { "is no upload target" };
            let name = foreign::line(name, WORD_MAX);
            return Err(Usage(format!("{name} {what}; there are: {list}")).into());
        };
        if !chosen.contains(&kind) {
            chosen.push(kind);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    fn said(pairs: &[(&str, &str)], names: &[&str]) -> Result<String, String> {
        let config = Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap().0;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let chosen = chosen(&config.upload, &names);
        let list =
            |kinds: Vec<TargetId>| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ");
        chosen.map(list).map_err(|error| {
            let status = if error.is::<Usage>() { 2 } else { 1 };
            format!("{status}: {error}")
        })
    }

    #[test]
    fn those_in_use_are_tried_or_those_that_are_named_and_another_name_is_wrong_usage() {
        let two = [("S3_API_URL", "http://gate/up"), ("RELAY_URL", "http://box/upload")];
        assert_eq!(said(&two, &[]).as_deref(), Ok("api relay"));
        assert_eq!(said(&two, &["relay", "API", "relay"]).as_deref(), Ok("relay api"));
        let error = said(&two, &["api", "ftp"]).unwrap_err();
        assert_eq!(error, "2: ftp is no upload target; there are: api, relay");
        assert_eq!(said(&two, &["s3"]).unwrap_err(), "2: s3 is not in use here; there are: api, relay");
        assert_eq!(said(&[], &["s3"]).unwrap_err(), "2: s3 is not in use here; there are: none");
        assert!(
            said(&[], &[])
                .unwrap_err()
                .starts_with("1: no upload target is configured; set S3_API_URL, S3_ENDPOINT, ")
        );
        let left_out = [two[0], two[1], ("UPLOAD_TARGETS", "relay")];
        assert_eq!(said(&left_out, &["api"]).unwrap_err(), "2: api is not in use here; there are: relay");
    }
}
