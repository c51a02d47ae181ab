//! ffmpeg as the yard-stick: wherever it has a picture of a bent camera, the daemon has one.

use crate::support::bent::kinds::{DATAGRAMS, DESCRIPTIONS, LOGINS, PACKETS, PICTURES, REFUSALS, WORDS};
use crate::support::bent::{Bend, trial};
use crate::support::rtsp::is_available;
use crate::support::{machine_shared, report};

async fn whatever_ffmpeg_reads_is_read(claim: &str, kinds: &[&'static [Bend]]) {
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let mut seen = Vec::new();
    for bends in kinds {
        seen.extend(trial::run(bends, true).await);
    }
    let ours = seen.iter().filter(|seen| seen.pictures > 0).count();
    let theirs = seen.iter().filter(|seen| seen.ffmpeg == Some(true)).count();
    report(&format!("{} cameras: a picture of {ours}, ffmpeg of {theirs}", seen.len()));
    let missed: Vec<_> = seen.iter().filter(|seen| seen.pictures == 0 && seen.ffmpeg == Some(true)).collect();
    let missed: Vec<_> = missed.into_iter().map(trial::Seen::line).collect();
    assert!(missed.is_empty(), "ffmpeg has a picture of these:\n{}", missed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ffmpeg_reads_of_odd_words_is_read() {
    whatever_ffmpeg_reads_is_read("odd words", &[DESCRIPTIONS, LOGINS, WORDS, REFUSALS]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ffmpeg_reads_of_odd_streams_is_read() {
    whatever_ffmpeg_reads_is_read("odd streams", &[PACKETS, DATAGRAMS, PICTURES]).await;
}
