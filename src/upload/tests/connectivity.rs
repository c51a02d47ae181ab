use super::*;

const INTERVAL: Duration = Duration::from_secs(60);

#[test]
fn a_look_never_contradicts_a_fresh_delivery() {
    let fresh = Some(Duration::from_secs(59));
    assert_eq!(Worth::of(Some(true), fresh, INTERVAL), Worth::Nothing);
    assert_eq!(Worth::of(Some(true), Some(INTERVAL), INTERVAL), Worth::Word, "an idle target");
    assert_eq!(Worth::of(None, None, INTERVAL), Worth::Word, "nothing is known");
    assert_eq!(Worth::of(Some(false), None, INTERVAL), Worth::Word, "nothing but an earlier look is known");
}

#[test]
fn a_target_that_refuses_every_picture_is_not_made_online_by_an_open_port() {
    for ago in [0, 1, 59, 60, 100_000] {
        assert_eq!(Worth::of(Some(false), Some(Duration::from_secs(ago)), INTERVAL), Worth::Hint, "{ago}");
    }
}

#[tokio::test]
async fn the_way_is_open_when_any_address_of_a_name_answers() {
    // The name has an IPv6 address, too, at which nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hop = Hop { host: "localhost".to_owned(), port, address: String::new(), proxy: None };
    connect(&hop).await.unwrap();
    drop(listener);
    assert!(connect(&hop).await.is_err());
}
