//! What servers answer with 200, as they were seen in the field and as they might be.

use super::*;
use proptest::prelude::*;

#[test]
fn a_no_in_the_body_of_a_success_is_a_no() {
    for body in [
        r#"{"success":false,"message":"disk full"}"#,
        r#"{"success":"false"}"#,
        r#"{"success":0}"#,
        r#"{"Success":false}"#,
        r#"{"ok":false,"description":"chat not found"}"#,
        r#"{"status":"error","reason":"no camera of this name"}"#,
        r#"{"status":"FAIL"}"#,
        r#"{"status":"failed","id":7}"#,
        r#"{"result":"error"}"#,
        r#"{"stat":"fail","code":95}"#,
        r#"{"code":401,"msg":"token expired"}"#,
        r#"{"statusCode":500}"#,
        r#"{"code":"403"}"#,
        r#"{"code":-1}"#,
        r#"{"status":503}"#,
        r#"{"error":"quota exceeded"}"#,
        r#"{"error":{"code":17,"message":"rate"}}"#,
        r#"{"errors":["file too large"]}"#,
        r#"{"data":{"success":false}}"#,
        r#"{"response":{"result":{"status":"error"}}}"#,
        r#"[{"success":false}]"#,
        r#"{"uploaded":true,"success":false}"#,
        r#"{"failed":1}"#,
        r#"{"errorCode":-3}"#,
        "\u{feff}{\"success\":false}",
        "<error>quota</error>",
        "<?xml version=\"1.0\"?><rsp stat=\"fail\"><err code=\"1\"/></rsp>",
        "<response><status>error</status></response>",
        "<result><success>false</success></result>",
        "<soap:Envelope><soap:Body><soap:Fault><faultstring>x</faultstring></soap:Fault></soap:Body></soap:Envelope>",
        "<Error><Code>AccessDenied</Code></Error>",
        "<br />\n<b>Warning</b>:  move_uploaded_file(): failed to open stream in <b>/up.php</b> on line <b>3</b><br />",
        "Warning: mkdir(): No space left on device in /var/www/upload.php on line 12",
        "PHP Fatal error:  Uncaught Error: Call to undefined function",
        "<br />\n<b>Fatal error</b>:  Allowed memory size exhausted",
        "<b>Parse error</b>: syntax error",
        "ok\nWarning: move_uploaded_file(/srv/a.jpg): Permission denied in /srv/up.php on line 9",
        "ok<br />\n<b>Warning</b>:  unlink(x) in <b>/up.php</b> on line <b>9</b><br />",
        "ok\n<b>Warning</b>:  copy(): no space left in <b>/srv/up.php</b>",
        "ERROR: no space left",
        "Error saving file",
        "error",
        "FAILED",
        "failed to write",
        "0",
        "false",
        "-1",
        "NOK",
        "Access denied",
        "receiving r1.jpg\nERROR: cannot write",
        "Traceback (most recent call last):\n  File \"x\"",
        "SQLSTATE[HY000] [2002] Connection refused",
    ] {
        assert!(refusal(body).is_some(), "{body}");
    }
}

#[test]
fn whatever_says_nothing_against_the_picture_is_a_yes() {
    for body in [
        "",
        " \r\n",
        "ok",
        "OK\n",
        "1",
        "true",
        "\"ok\"",
        "null",
        "{}",
        "[]",
        r#"{"success":true}"#,
        r#"{"success":true,"error":"a thumbnail could not be made"}"#,
        r#"{"success":"true","code":0}"#,
        r#"{"id":5,"filename":"r1_1.jpg"}"#,
        r#"{"errors":[],"error":null,"failed":0}"#,
        r#"{"error":""}"#,
        r#"{"error":false,"message":"stored"}"#,
        r#"{"error":0}"#,
        r#"{"error":"none"}"#,
        r#"{"status":"ok"}"#,
        r#"{"status":0,"msg":"success"}"#,
        r#"{"status":"queued"}"#,
        r#"{"status":200}"#,
        r#"{"code":0}"#,
        r#"{"code":200,"data":{"id":400}}"#,
        r#"{"data":{"status":"error"},"success":true}"#,
        r#"{"result":{"plate":"ERR 404","results":[]},"processing_time":42.1}"#,
        r#"{"results":[{"plate":"no1","score":0.9}]}"#,
        r#"{"message":"0 errors"}"#,
        r#"{"id":5,"plate":{"region":{"state":"no"},"code":450}}"#,
        r#"<response><status>ok</status><errors/></response>"#,
        "<response><error></error><status>0</status></response>",
        "<PostResponse><Location>http://x/error</Location></PostResponse>",
        "ok, warning: the picture is dark",
        "0 errors",
        "errors: 0",
        "error=0",
        "Error: none",
        "Failover is ready",
        "failsafe",
        "no errors, 1 file stored",
        "stored as error_7.jpg",
        "Upload r1_1.jpg: done",
        "Notice: Undefined index: x in /a.php on line 3\n{\"success\":true}",
        "<br />\n<b>Warning</b>: date(): timezone in <b>/a.php</b>\n{\"success\":true}",
    ] {
        assert_eq!(refusal(body), None, "{body}");
    }
}

#[test]
fn the_words_of_a_no_are_those_of_the_server() {
    for (body, words) in [
        (r#"{"success":false,"message":"disk full"}"#, "disk full"),
        (r#"{"ok":false,"error":{"code":3,"message":"no such camera"}}"#, "no such camera"),
        (r#"{"errors":[{"detail":"too large"}],"success":false}"#, "too large"),
        (r#"{"success":false}"#, r#"{"success":false}"#),
        ("ERROR: no space", "ERROR: no space"),
    ] {
        assert_eq!(refusal(body).as_deref(), Some(words), "{body}");
    }
}

proptest! {
    #[test]
    fn any_body_is_judged_without_panic(body in "\\PC{0,300}", tag in "[<>{}\\[\\]\"a-z:/ =']{0,200}") {
        let _ = (refusal(&body), refusal(&tag), refusal(&format!("<{tag}")), refusal(&format!("{{{body}")));
    }

    /// However deep it lies and whatever stands beside it.
    #[test]
    fn an_explicit_yes_at_the_top_is_a_yes(name in "[a-z]{1,12}", text in "[a-z ]{0,20}") {
        let body = serde_json::json!({ "success": true, &name: text }).to_string();
        prop_assert!(name == "ok" || YES_OR_NO.contains(&name.as_str()) || refusal(&body).is_none());
    }
}
