//! What follows from a command, told without a socket.

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Env};

fn device() -> Arc<DeviceConfig> {
    let pairs = [("INGEST_1_USER", "cam"), ("INGEST_1_PASSWORD", "hunter2")];
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    Arc::new(config.ingest.devices[0].clone())
}

fn known() -> Dialog {
    let mut dialog = Dialog::default();
    dialog.admit(device());
    dialog
}

fn hear(dialog: &mut Dialog, line: &str) -> FtpStep {
    dialog.hear(FtpCommand::parse(line.as_bytes()))
}

/// The reply, or what is done instead.
fn heard(dialog: &mut Dialog, line: &str) -> String {
    match hear(dialog, line) {
        FtpStep::Say(reply) | FtpStep::End(reply) => {
            String::from_utf8(reply.bytes()).unwrap().trim_end().to_owned()
        }
        step => format!("{step:?}"),
    }
}

fn codes(dialog: &mut Dialog, lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| heard(dialog, line).chars().take(3).collect()).collect()
}

#[test]
fn without_a_log_in_nothing_can_be_brought_or_asked() {
    let mut stranger = Dialog::default();
    for line in
        ["STOR x", "APPE x", "STOU", "PASV", "EPSV", "LIST", "MKD a", "PWD", "SIZE x", "DELE x", "PORT 1"]
    {
        assert!(heard(&mut stranger, line).starts_with("530 "), "{line}");
    }
    assert_eq!(
        codes(&mut stranger, &["PASS x", "USER a", "SYST", "FEAT", "NOOP"]),
        ["503", "331", "215", "211", "200"]
    );
    assert!(matches!(hear(&mut stranger, "PASS x"), FtpStep::Admit { user, .. } if user == "a"));
    assert!(heard(&mut stranger, "PASS x").starts_with("503 "), "one password for one user");
    let mut begun_anew = known();
    assert!(matches!(hear(&mut begun_anew, "REIN"), FtpStep::Reinitialize));
    assert!(heard(&mut begun_anew, "STOR x").starts_with("530 "));
    let mut other = known();
    assert_eq!(codes(&mut other, &["USER b", "STOR x"]), ["331", "530"]);
}

#[test]
fn a_password_is_in_no_debug_text() {
    let mut dialog = Dialog::default();
    hear(&mut dialog, "USER cam");
    let step = hear(&mut dialog, "PASS hunter2");
    assert!(!format!("{step:?} {dialog:?} {:?}", known()).contains("hunter2"));
}

#[test]
fn nothing_that_a_camera_says_before_its_picture_is_refused() {
    // S1.3: one reply of 400 or more, and the ESP32 never comes back. Dahua: ALLO is 200, and nothing else.
    let mut dialog = known();
    for line in [
        "SYST",
        "FEAT",
        "OPTS UTF8 ON",
        "Type I",
        "TYPE A",
        "TYPE L 8",
        "STRU F",
        "MODE S",
        "REST 0",
        "NOOP",
        "PWD",
        "XPWD",
        "MKD camera_test1700000000",
        "MKD camera_test1700000000",
        "XMKD a",
        "CWD camera_test1700000000",
        "CWD /nowhere",
        "CDUP",
        "CWD ..",
        "RMD camera_test",
        "DELE x.jpg",
        "SITE CHMOD 755 /x",
        "ALLO 123456",
        "CLNT x",
        "HELP",
        "STAT",
    ] {
        let reply = heard(&mut dialog, line);
        assert!(reply.as_str() < "400", "{line}: {reply}");
    }
    assert_eq!(heard(&mut dialog, "ALLO 123456"), "200 ok");
}

#[test]
fn folders_are_fiction_that_is_remembered() {
    let mut dialog = known();
    assert_eq!(heard(&mut dialog, "MKD 2026-11-29"), "257 \"/2026-11-29\" is there");
    assert_eq!(codes(&mut dialog, &["CWD 2026-11-29", "CWD 001/jpg"]), ["250", "250"]);
    assert_eq!(heard(&mut dialog, "PWD"), "257 \"/2026-11-29/001/jpg\" is where you are");
    assert_eq!(codes(&mut dialog, &["CDUP", "CWD ../../../.."]), ["250", "250"]);
    assert_eq!(heard(&mut dialog, "PWD"), "257 \"/\" is where you are");
}

#[test]
fn what_was_taken_has_a_size_and_can_be_renamed_once_asked() {
    let mut dialog = known();
    assert_eq!(codes(&mut dialog, &["SIZE x.jpg", "RNFR x.jpg", "RNTO y.jpg"]), ["550", "550", "503"]);
    dialog.took("a/x.tmp", 1234);
    assert_eq!(heard(&mut dialog, "SIZE /a/x.tmp"), "213 1234");
    assert_eq!(codes(&mut dialog, &["RNFR x.tmp", "NOOP", "RNTO x.jpg"]), ["350", "200", "503"]);
    assert_eq!(codes(&mut dialog, &["RNFR x.tmp", "RNTO x.jpg", "SIZE x.tmp"]), ["350", "250", "550"]);
    assert_eq!(heard(&mut dialog, "SIZE x.jpg"), "213 1234");
    for n in 0..1000 {
        dialog.took(&format!("{n}.jpg"), n);
    }
    assert_eq!(dialog.names.len(), NAMES_MAX);
    assert_eq!(codes(&mut dialog, &["SIZE 999.jpg", "SIZE 0.jpg"]), ["213", "550"]);
}

#[test]
fn tls_is_offered_and_asked_for_as_rfc_4217_has_it() {
    let mut absent = Dialog::default();
    assert_eq!(codes(&mut absent, &["AUTH TLS", "PBSZ 0", "PROT P", "CCC"]), ["502", "502", "502", "533"]);
    assert!(!heard(&mut absent, "FEAT").contains("AUTH"));
    for (kind, is_data_secured) in [("TLS", false), ("tls-c", false), ("SSL", true), ("TLS-P", true)] {
        let mut dialog = Dialog::new(ControlTls::Offered { is_required: false });
        assert!(heard(&mut dialog, "FEAT").contains(" AUTH TLS"));
        assert_eq!(
            codes(&mut dialog, &["PBSZ 0", "PROT P", "AUTH GSSAPI", "AUTH"]),
            ["503", "503", "504", "504"]
        );
        assert!(matches!(hear(&mut dialog, &format!("AUTH {kind}")), FtpStep::Secure(_)), "{kind}");
        assert!(!dialog.is_data_secured(), "not before the handshake");
        dialog.secured();
        assert_eq!(dialog.is_data_secured(), is_data_secured, "{kind}");
        assert_eq!(
            codes(&mut dialog, &["PROT C", "PROT S", "PROT X", "PBSZ 0"]),
            ["200", "536", "504", "200"]
        );
        assert!(!dialog.is_data_secured());
        codes(&mut dialog, &["PROT P", "USER cam"]);
        assert!(dialog.is_data_secured(), "a log-in changes nothing of it");
    }
}

#[test]
fn active_mode_fetching_and_parts_are_refused_and_the_session_goes_on() {
    let mut dialog = known();
    let lines = [
        "PORT 192,0,2,1,0,80",
        "EPRT |1|192.0.2.1|80|",
        "RETR x",
        "MDTM x",
        "REST 100",
        "AUTH TLS",
        "STRU R",
        "MODE Z",
        "TYPE E",
        "XYZ",
        "",
        "STOR",
        "STOR a/",
    ];
    let refused = ["502", "502", "550", "550", "504", "502", "504", "504", "504", "502", "502", "501", "501"];
    assert_eq!(codes(&mut dialog, &lines), refused);
    assert!(
        matches!(hear(&mut dialog, "STOR a/x.jpg"), FtpStep::Take(Upload { path, .. }) if path == "a/x.jpg")
    );
    assert!(
        matches!(hear(&mut dialog, "STOU"), FtpStep::Take(Upload { path, is_unique: true }) if path == "upload-1")
    );
    assert!(matches!(hear(&mut dialog, "QUIT"), FtpStep::End(_)));
}

proptest! {
    #[test]
    fn whatever_is_said_every_reply_is_short_and_a_stranger_stays_one(
        lines in prop::collection::vec(prop_oneof![
            "(?i)(USER|PASS|REIN|SYST|FEAT|TYPE|STRU|MODE|PASV|EPSV|PORT|STOR|APPE|STOU|REST|ABOR|MKD|RMD|CWD|CDUP|PWD|SIZE|RNFR|RNTO|LIST|RETR|NOOP) \\PC{0,200}",
            "[ -~]{0,30}",
        ], 0..60),
        is_known in any::<bool>(),
    ) {
        let mut dialog = if is_known { known() } else { Dialog::default() };
        for line in &lines {
            let step = hear(&mut dialog, line);
            if let FtpStep::Say(reply) | FtpStep::End(reply) = &step {
                prop_assert!(reply.bytes().len() <= super::super::reply::REPLY_BYTES_MAX);
            }
            if let FtpStep::Take(upload) = &step {
                dialog.took(&upload.path, 1);
            }
            let wants = matches!(step, FtpStep::Await { .. } | FtpStep::Take(_) | FtpStep::List | FtpStep::Abort);
            prop_assert!(!wants || dialog.device().is_some());
            prop_assert!(is_known || dialog.device().is_none());
            prop_assert!(dialog.names.len() <= NAMES_MAX && dialog.folder.len() < 100);
        }
    }
}
