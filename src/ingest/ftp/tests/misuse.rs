//! Strangers, torn files, those that take too much, and networks that go away.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::FtpLimits;
use super::rig::{PATIENT, Rig, jpeg_of, large_jpeg};
use crate::store::testing::assert_in_order;

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn whoever_is_wrong_is_told_the_same_and_after_ten_times_even_the_right_words_do_not_help() {
    let rig = Rig::new().await;
    let mut told = Vec::new();
    for n in 0..10 {
        let mut stranger = rig.stranger().await;
        let user = if n % 2 == 0 { "cam_client" } else { "nobody" };
        told.push(stranger.ask(&format!("USER {user}"), "331 ").await);
        told.push(stranger.ask("PASS wrong", "530 ").await);
        stranger.ask("STOR x.jpg", "530 ").await;
        stranger.ask("PASV", "530 ").await;
    }
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 2, "{told:?}");
    let mut stranger = rig.stranger().await;
    stranger.ask("USER cam_client", "331 ").await;
    stranger.ask("PASS camera", "530 ").await;
    // From another address it is let in.
    let mut camera = rig.connect(2).await;
    camera.expect("220 ").await;
    camera.ask("USER cam_client", "331 ").await;
    camera.ask("PASS camera", "230 ").await;
}

#[tokio::test]
async fn the_third_wrong_log_in_ends_the_session() {
    let rig = Rig::new().await;
    let mut stranger = rig.stranger().await;
    for _ in 0..3 {
        stranger.ask("USER x", "331 ").await;
        stranger.ask("PASS y", "530 ").await;
    }
    assert!(stranger.is_hung_up().await);
}

#[tokio::test]
async fn a_torn_picture_is_none_whether_it_ends_politely_or_by_a_reset() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let picture = large_jpeg();
    assert!(camera.store("STOR a.jpg", &picture[..picture.len() - 2]).await.starts_with("451 "));
    assert!(camera.store("STOR a.jpg", b"").await.starts_with("451 "));
    assert!(camera.store("STOR a.tmp", b"").await.starts_with("451 "), "it may have been a picture");
    assert!(camera.store("STOR a.jpg", b"no picture at all").await.starts_with("550 "));
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR b.jpg", "150 ").await;
    data.write_all(&picture[..5000]).await.unwrap();
    data.set_zero_linger().unwrap();
    drop(data);
    camera.expect("426 ").await;
    assert!(rig.images().await.is_empty());
    let refusals = rig.refusals().await;
    assert!(refusals.iter().any(|reason| reason.contains("Torn")), "{refusals:?}");
    assert!(camera.store("STOR a.jpg", &picture).await.starts_with("226 "), "the session goes on");
    assert_in_order(&rig.end().await);
}

#[tokio::test]
async fn a_whole_picture_counts_however_its_connection_ends() {
    let rig = Rig::with(&[], FtpLimits { data_idle: SOON, ..PATIENT }).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    data.write_all(&jpeg_of(1)).await.unwrap();
    // It never closes.
    camera.expect("226 ").await;
    drop(data);
    assert_eq!(rig.images().await.len(), 1);
}

#[tokio::test]
async fn who_sends_nothing_more_is_not_waited_for() {
    let rig = Rig::with(&[], FtpLimits { data_idle: SOON, ..PATIENT }).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    data.write_all(&large_jpeg()[..9000]).await.unwrap();
    camera.expect("426 ").await;
    camera.ask("NOOP", "200 ").await;
}

#[tokio::test]
async fn who_sends_without_end_but_slowly_is_ended_too() {
    let limits = FtpLimits { transfer: Duration::from_millis(200), ..PATIENT };
    let rig = Rig::with(&[], limits).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    let picture = large_jpeg();
    let trickle = async {
        for byte in picture.iter().cycle() {
            if data.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = trickle => {}
        said = camera.answer() => assert!(said.starts_with("426 "), "{said}"),
    }
}

#[tokio::test]
async fn more_bytes_than_the_device_may_bring_are_not_read() {
    let rig = Rig::with(&[("INGEST_1_MAX_BYTES", "10k")], PATIENT).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    let picture = large_jpeg();
    let mut sent = 0_usize;
    let endless = async {
        while data.write_all(&picture).await.is_ok() {
            sent += picture.len();
        }
    };
    endless.await;
    assert!(sent < 64 << 20, "{sent} bytes went into the kernel");
    camera.expect("552 ").await;
    let written = async {
        while !rig.refusals().await.iter().any(|reason| reason.contains("TooLarge")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.expect("it is in the ledger");
    assert!(camera.store("STOR b.jpg", &jpeg_of(1)).await.starts_with("226 "));
}

#[tokio::test]
async fn too_many_pictures_a_minute_are_refused_before_they_are_sent_and_clips_do_not_count() {
    let rig = Rig::with(&[("INGEST_1_PER_MINUTE", "2")], PATIENT).await;
    let mut camera = rig.device().await;
    assert!(camera.store("STOR a.jpg", &jpeg_of(1)).await.starts_with("226 "));
    assert!(camera.store("STOR a.mp4", b"clip").await.starts_with("226 "));
    assert!(camera.store("STOR b.jpg", &jpeg_of(2)).await.starts_with("226 "));
    camera.passive().await;
    camera.ask("STOR c.jpg", "450 ").await;
    camera.ask("NOOP", "200 ").await;
    let said = camera.store("STOR c.txt", &jpeg_of(3)).await;
    assert!(said.starts_with("450 "), "a picture under another name counts: {said}");
    assert_eq!(rig.images().await.len(), 2);
}

#[tokio::test]
async fn a_second_file_while_one_is_on_its_way_waits_for_a_data_connection_of_its_own() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    camera.send(b"STOR b.jpg\r\n").await;
    data.write_all(&jpeg_of(1)).await.unwrap();
    drop(data);
    let said = camera.answer_of_two().await;
    assert!(said[0].starts_with("226 ") && said[1].starts_with("425 "), "{said:?}");
    assert_eq!(rig.own_names().await, ["a.jpg"]);
}

#[tokio::test]
async fn one_name_in_two_sessions_at_once_are_two_pictures() {
    let rig = Rig::new().await;
    let (mut one, mut other) = (rig.device().await, rig.device().await);
    let (first, second) = (one.passive().await, other.passive().await);
    let (mut of_one, mut of_other) = (one.data(first).await, other.data(second).await);
    one.ask("STOR snap.jpg", "150 ").await;
    other.ask("STOR snap.jpg", "150 ").await;
    for (data, shade) in [(&mut of_one, 1), (&mut of_other, 2)] {
        data.write_all(&jpeg_of(shade)).await.unwrap();
    }
    drop((of_one, of_other));
    one.expect("226 ").await;
    other.expect("226 ").await;
    assert_eq!(rig.own_names().await, ["snap.jpg", "snap.jpg"]);
}

#[tokio::test]
async fn what_is_appended_to_or_renamed_from_something_refused_changes_no_picture() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    assert!(camera.store("STOR a.jpg", &jpeg_of(1)).await.starts_with("226 "));
    assert!(camera.store("APPE a.jpg", b"more").await.starts_with("550 "));
    assert!(camera.store("APPE a.jpg", b"").await.starts_with("451 "));
    assert!(camera.store("STOR b.jpg", b"no picture").await.starts_with("550 "));
    camera.ask("RNFR b.jpg", "550 ").await;
    camera.ask("RNTO c.jpg", "503 ").await;
    camera.ask("RNFR a.jpg", "350 ").await;
    camera.ask("RNTO /../../c.jpg", "250 ").await;
    assert_eq!(rig.own_names().await, ["a.jpg"]);
}

#[tokio::test]
async fn a_data_connection_of_extended_passive_mode_is_the_clients_too() {
    let rig = Rig::with(&[], FtpLimits { data_wait: Duration::from_millis(300), ..PATIENT }).await;
    let mut camera = rig.device().await;
    let answer = camera.ask("EPSV", "229 ").await;
    let port: u16 = answer.split('|').nth(3).unwrap().parse().unwrap();
    let mut foreign = camera.data_from(9, ([127, 0, 0, 1], port).into()).await;
    camera.ask("STOR a.jpg", "150 ").await;
    // It may be closed already.
    let _ = foreign.write_all(&jpeg_of(66)).await;
    camera.expect("425 ").await;
    assert!(rig.images().await.is_empty());
}

#[tokio::test]
async fn nobody_elses_data_connection_is_taken() {
    let rig = Rig::with(&[], FtpLimits { data_wait: Duration::from_millis(300), ..PATIENT }).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut foreign = camera.data_from(9, at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    // It may be closed already.
    let _ = foreign.write_all(&jpeg_of(66)).await;
    camera.expect("425 ").await;
    assert!(rig.images().await.is_empty());
    // And it does not keep the device's own out.
    let at = camera.passive().await;
    let foreign = camera.data_from(9, at).await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    data.write_all(&jpeg_of(1)).await.unwrap();
    drop((data, foreign));
    camera.expect("226 ").await;
}

#[tokio::test]
async fn ports_that_nobody_uses_are_released_at_once() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let mut last = None;
    for _ in 0..9 {
        let at = camera.passive().await;
        if let Some(before) = last.replace(at) {
            assert!(before == at || TcpListener::bind(before).await.is_ok(), "{before} is still taken");
        }
    }
    assert!(camera.store("STOR a.jpg", &jpeg_of(1)).await.starts_with("226 "));
    let at = camera.passive().await;
    camera.ask("QUIT", "221 ").await;
    assert!(camera.is_hung_up().await);
    let free = async {
        while TcpListener::bind(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_forgotten_is_released_while_the_session_stays() {
    let rig = Rig::with(&[], FtpLimits { data_wait: SOON, ..PATIENT }).await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let free = async {
        while TcpListener::bind(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
    camera.ask("STOR a.jpg", "425 ").await;
}

#[tokio::test]
async fn ten_thousand_commands_are_answered_one_by_one_and_in_one_write() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    for n in 0..5_000 {
        camera.ask(["NOOP", "PWD", "CWD a", "CDUP", "XYZ"][n % 5], "").await;
    }
    let (mut read, mut write) = camera.control.into_split();
    let lines = "NOOP\r\n".repeat(5_000);
    let sending = async {
        write.write_all(lines.as_bytes()).await.unwrap();
        write
    };
    let reading = async {
        let (mut seen, mut buffer) = (0, vec![0; 4096]);
        while seen < 5_000 * "200 ok\r\n".len() {
            seen += tokio::io::AsyncReadExt::read(&mut read, &mut buffer).await.unwrap();
        }
    };
    let (_write, ()) = tokio::join!(sending, reading);
}

#[tokio::test]
async fn a_line_without_end_is_refused_once_and_the_next_is_heard() {
    let rig = Rig::new().await;
    let mut stranger = rig.stranger().await;
    stranger.send(&vec![b'x'; 100_000]).await;
    stranger.expect("500 ").await;
    stranger.send(b"\r\nNOOP\r\n").await;
    stranger.expect("200 ").await;
}

#[tokio::test]
async fn abor_ends_a_transfer_and_both_are_answered() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    data.write_all(&large_jpeg()[..9000]).await.unwrap();
    camera.send(b"\xff\xf4\xff\xf2ABOR\r\n").await;
    let said = camera.answer_of_two().await;
    assert!(said[0].starts_with("426 ") && said[1].starts_with("226 "), "{said:?}");
    camera.ask("ABOR", "226 ").await;
}

#[tokio::test]
async fn who_says_nothing_is_sent_away_sooner_if_nobody_knows_them() {
    let rig = Rig::with(&[], FtpLimits { log_in: SOON, ..PATIENT }).await;
    let mut stranger = rig.stranger().await;
    stranger.expect("421 ").await;
    assert!(stranger.is_hung_up().await);
    let rig = Rig::with(&[], FtpLimits { control_idle: SOON, ..PATIENT }).await;
    let mut camera = rig.device().await;
    camera.expect("421 ").await;
    assert!(camera.is_hung_up().await);
}

#[tokio::test]
async fn a_crowd_of_strangers_keeps_no_camera_out() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let mut strangers = Vec::new();
    for n in 0..80 {
        strangers.push(rig.connect(10 + n % 10).await);
    }
    let mut other = rig.device().await;
    assert!(camera.store("STOR a.jpg", &jpeg_of(1)).await.starts_with("226 "));
    assert!(other.store("STOR a.jpg", &jpeg_of(2)).await.starts_with("226 "));
}

#[tokio::test]
async fn a_picture_that_is_under_way_at_the_end_of_the_program_is_answered() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR a.jpg", "150 ").await;
    data.write_all(&large_jpeg()[..9000]).await.unwrap();
    let place = rig.end().await;
    let said = camera.answer_of_two().await;
    assert!(said[0].starts_with("426 ") && said[1].starts_with("421 "), "{said:?}");
    assert_in_order(&place);
}

#[tokio::test]
async fn nothing_is_held_when_all_is_over() {
    let rig = Rig::with(&[("INGEST_1_MAX_BYTES", "10k")], PATIENT).await;
    let mut camera = rig.device().await;
    assert!(camera.store("STOR a.jpg", &jpeg_of(1)).await.starts_with("226 "));
    camera.store("STOR b.jpg", &large_jpeg()).await;
    let shared = &rig.server.shared;
    assert!(shared.held.share(1).grow(32 << 20), "all memory was given back");
}
