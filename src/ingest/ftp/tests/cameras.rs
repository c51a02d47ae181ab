//! How devices bring their pictures, byte by byte as they do it.

use tokio::io::AsyncWriteExt;

use super::rig::{PATIENT, Rig, address_of, jpeg_of, large_jpeg};
use crate::store::testing::assert_in_order;

#[tokio::test]
async fn an_esp32_brings_its_picture_and_is_never_refused() {
    // S1.1, S1.2, S1.3: ESP32_FTPClient, whose `print` and `println` are writes of their own.
    let (rig, picture) = (Rig::new().await, large_jpeg());
    let mut esp = rig.stranger().await;
    for (pieces, beginning) in [
        (&["USER ", "cam_client", "\r\n"][..], "331 "),
        (&["PASS ", "camera", "\r\n"], "230 "),
        (&["SYST", "\r\n"], "215 "),
        (&["MKD ", "/", "\r\n"], "257 "),
        (&["CWD ", "/", "\r\n"], "250 "),
        (&["Type I", "\r\n"], "200 "),
    ] {
        for piece in pieces {
            esp.send(piece.as_bytes()).await;
        }
        esp.expect(beginning).await;
    }
    esp.send(b"PASV").await;
    esp.send(b"\r\n").await;
    let at = address_of(&esp.expect("227 ").await);
    let mut data = esp.data(at).await;
    esp.send(b"STOR ").await;
    esp.send(b"octocat.jpg\r\n").await;
    esp.expect("150 ").await;
    for piece in picture.chunks(1500) {
        data.write_all(piece).await.unwrap();
    }
    data.shutdown().await.unwrap();
    drop(data);
    let began = std::time::Instant::now();
    esp.expect("226 ").await;
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let [image] = &rig.images().await[..] else { panic!("one picture") };
    let push = image.facts.push.clone().unwrap();
    assert_eq!((push.device.as_str(), push.own_name.as_deref()), ("esp", Some("octocat.jpg")));
    esp.send(b"QUIT\r\n").await;
    assert_in_order(&rig.end().await);
}

#[tokio::test]
async fn the_same_picture_after_a_reboot_is_one_and_a_success_both_times() {
    // S1.11, and yi-hack: the same name again and again.
    let rig = Rig::new().await;
    for _ in 0..2 {
        let mut camera = rig.device().await;
        assert!(camera.store("STOR snap.jpg", &jpeg_of(1)).await.starts_with("226 "));
        camera.ask("SITE CHMOD 755 snap.jpg", "200 ").await;
        assert!(camera.store("STOR snap.jpg", &jpeg_of(1)).await.starts_with("226 "));
    }
    assert_eq!(rig.images().await.len(), 1);
    let mut camera = rig.device().await;
    assert!(camera.store("STOR snap.jpg", &jpeg_of(2)).await.starts_with("226 "));
    assert_eq!(rig.own_names().await, ["snap.jpg", "snap.jpg"]);
}

#[tokio::test]
async fn a_dahua_that_hangs_up_at_a_wrong_allo_brings_its_picture() {
    // A Dahua (IP-T24) disconnects at 202 and begins again, for ever.
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let picture = jpeg_of(3);
    camera.ask("TYPE I", "200 ").await;
    camera.ask("CWD /", "250 ").await;
    camera.ask(&format!("ALLO {}", picture.len()), "200 ").await;
    let folder = "IPC/2026-11-29/001/jpg/10/33";
    for part in folder.split('/') {
        camera.ask(&format!("MKD {part}"), "257 ").await;
        camera.ask(&format!("CWD {part}"), "250 ").await;
    }
    assert!(camera.store("STOR 05[M][0@0][0].jpg.tmp", &picture).await.starts_with("226 "));
    assert_eq!(rig.images().await.len(), 1, "safe before it is renamed");
    camera.ask("RNFR 05[M][0@0][0].jpg.tmp", "350 ").await;
    camera.ask("RNTO 05[M][0@0][0].jpg", "250 ").await;
    assert_eq!(rig.own_names().await, ["05[M][0@0][0].jpg"]);
}

#[tokio::test]
async fn a_reolink_that_tries_its_folder_out_and_sends_a_clip_too_brings_its_picture() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    camera.ask("PWD", "257 ").await;
    camera.ask("MKD camera_test1700000000", "257 ").await;
    camera.ask("CWD camera_test1700000000", "250 ").await;
    camera.ask("CWD ..", "250 ").await;
    camera.ask("RMD camera_test1700000000", "250 ").await;
    assert!(camera.store("STOR camera_test1700000000.txt", b"test").await.starts_with("226 "));
    camera.ask("SIZE camera_test1700000000.txt", "213 4").await;
    camera.ask("DELE camera_test1700000000.txt", "250 ").await;
    let mut clip = b"\x00\x00\x00\x18ftypmp42".to_vec();
    clip.resize(3_000_000, 7);
    assert!(camera.store("STOR Gate_00_20261129103305.mp4", &clip).await.starts_with("226 "));
    assert!(camera.store("STOR empty.xml", b"").await.starts_with("226 "));
    assert!(
        camera.store("STOR 2026/11/29/Gate_00_20261129103305.jpg", &jpeg_of(4)).await.starts_with("226 ")
    );
    assert_eq!(rig.own_names().await, ["Gate_00_20261129103305.jpg"]);
    assert_eq!(rig.ledger().await.len(), 1, "what is no picture is no failure");
}

#[tokio::test]
async fn clips_and_texts_beside_the_pictures_are_kept_where_that_is_wanted_and_never_in_the_way() {
    let clips = tempfile::tempdir().unwrap();
    let place: &'static str = clips.path().display().to_string().leak();
    let rig = Rig::with(&[("INGEST_1_CLIPS_FOLDER", place)], PATIENT).await;
    let mut camera = rig.device().await;
    let mut clip = b"\x00\x00\x00\x18ftypmp42".to_vec();
    clip.resize(300_000, 7);
    assert_eq!(camera.store("STOR 2026/gate.mp4", &clip).await, "226 no picture, kept beside\r\n");
    assert_eq!(camera.store("STOR event.xml", b"<a/>").await, "226 no picture, kept beside\r\n");
    assert!(camera.store("STOR gate.jpg", &jpeg_of(1)).await.starts_with("226 stored"));
    let kept = || {
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().split_once('_').unwrap().1.to_owned();
            (name, std::fs::read(path).unwrap())
        };
        let mut kept: Vec<_> = std::fs::read_dir(clips.path()).unwrap().map(read).collect();
        kept.sort();
        kept
    };
    let both = [("event.xml".to_owned(), b"<a/>".to_vec()), ("gate.mp4".to_owned(), clip.clone())];
    assert_eq!(kept(), both);
    // One that is cut off is not there.
    let at = camera.passive().await;
    let mut data = camera.data(at).await;
    camera.ask("STOR torn.mp4", "150 ").await;
    data.write_all(&clip[..50_000]).await.unwrap();
    data.set_zero_linger().unwrap();
    drop(data);
    camera.expect("426 ").await;
    assert_eq!(kept(), both);
    // The folder is away: the camera goes on.
    drop(clips);
    assert!(camera.store("STOR gate.mp4", &clip).await.starts_with("226 no picture, taken and not kept"));
    assert!(camera.store("STOR gate.jpg", &jpeg_of(2)).await.starts_with("226 stored"));
    assert_eq!(rig.ledger().await.len(), 2, "what is no picture is no failure");
}

#[tokio::test]
async fn date_folders_of_hikvision_and_axis_leave_only_the_own_name() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    camera.ask("XMKD 192.0.2.7_DS-2CD2042", "257 ").await;
    camera.ask("XPWD", "257 \"/\"").await;
    for (n, (command, own)) in [
        (
            "STOR /192.0.2.7_DS-2CD2042/01/192.0.2.7_01_20261129103305123_MOTION.jpg",
            "192.0.2.7_01_20261129103305123_MOTION.jpg",
        ),
        ("STOR 20261129/10/image26-11-29_10-33-05-12.jpg", "image26-11-29_10-33-05-12.jpg"),
        ("STOR /../../etc/../../../tmp/evil.jpg", "evil.jpg"),
        ("APPE C:\\x\\y.jpg", "y.jpg"),
        ("STOU", "upload-1"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            camera.store(command, &jpeg_of(10 + u8::try_from(n).unwrap())).await.starts_with("226 "),
            "{command}"
        );
        assert_eq!(rig.own_names().await[0], own);
    }
}

#[tokio::test]
async fn where_names_are_not_kept_a_picture_is_known_by_its_arrival_alone() {
    let rig = Rig::with(&[("INGEST_1_KEEP_NAME", "false")], PATIENT).await;
    let mut camera = rig.device().await;
    assert!(camera.store("STOR secret-address-7.jpg", &jpeg_of(1)).await.starts_with("226 stored as photo_"));
    camera.ask("SIZE secret-address-7.jpg", "213 ").await;
    assert_eq!(rig.own_names().await, [""]);
}

#[tokio::test]
async fn what_is_appended_is_a_whole_picture_or_none() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    let picture = large_jpeg();
    let (begin, rest) = picture.split_at(picture.len() / 2);
    assert!(camera.store("STOR a.jpg", begin).await.starts_with("451 "));
    camera.ask("SIZE a.jpg", "550 ").await;
    assert!(camera.store("APPE a.jpg", rest).await.starts_with("550 "));
    assert!(rig.images().await.is_empty());
    assert!(camera.store("APPE a.jpg", &picture).await.starts_with("226 "));
    camera.ask("SIZE a.jpg", "213 ").await;
}

#[tokio::test]
async fn extended_passive_mode_an_empty_list_and_a_session_that_begins_anew() {
    let rig = Rig::new().await;
    let mut camera = rig.device().await;
    for line in ["MLSD", "LIST/esp32", "NLST"] {
        let at = camera.passive().await;
        let data = camera.data(at).await;
        camera.send(format!("{line}\r\n").as_bytes()).await;
        // Both may come in one read, as there is nothing between them.
        let mut said = camera.answer_of_two().await;
        said.retain(|line| !line.is_empty());
        assert!(said[0].starts_with("150 ") && said[1].starts_with("226 "), "{said:?}");
        drop(data);
    }
    let answer = camera.ask("EPSV", "229 ").await;
    let port: u16 = answer.split('|').nth(3).unwrap().parse().unwrap();
    let mut data = camera.data(([127, 0, 0, 1], port).into()).await;
    camera.ask("STOR x", "150 ").await;
    data.write_all(&jpeg_of(9)).await.unwrap();
    drop(data);
    camera.expect("226 ").await;
    camera.ask("REIN", "220 ").await;
    camera.ask("PASV", "530 ").await;
}
