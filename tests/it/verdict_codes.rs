//! The published error codes of OMS and its gateway, row by row over a socket: each has one meaning, and the
//! configuration can give it another.

use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::verdict::VerdictCodes;
use oms_sync_worker::pipeline::answer::{HoldReason, Pressure, Verdict};

use crate::verdicts::{answer_once, check_code, http, listen, settings, submit};

const CREDENTIALS: Verdict = Verdict::Hold(HoldReason::Credentials);
const ACCOUNT: Verdict = Verdict::Hold(HoldReason::Account);
const PERMISSION: Verdict = Verdict::Hold(HoldReason::Permission);
const ENDPOINT: Verdict = Verdict::Hold(HoldReason::Endpoint);
const THROTTLED: Verdict = Verdict::Busy(Pressure::Throttled);
const OVERLOADED: Verdict = Verdict::Busy(Pressure::Overloaded);
const FAULTED: Verdict = Verdict::Busy(Pressure::Faulted);

/// Status, the numbers of the codes, and what they mean.
type Row = (u16, &'static [&'static str], Verdict);

async fn check_rows(prefix: &str, rows: &[Row]) {
    for (status, numbers, expected) in rows {
        for number in *numbers {
            check_code(*status, &format!("{prefix}.{number}"), *expected).await;
        }
    }
}

/// Every code of OMS's own error-code page, and those that newer pages name. Source: the OMS API reference.
#[tokio::test]
async fn every_code_of_oms_has_its_verdict() {
    let rows: [Row; 11] = [
        (400, &["0001", "0002", "0004", "0005", "0061", "0064", "0067", "0074", "0077", "0078"], Verdict::Refused),
        (400, &["1002", "1003", "1004", "1006", "1007", "1008", "1010"], Verdict::Refused),
        (400, &["0054", "1009"], Verdict::UnknownTask),
        (400, &["0068", "1005"], CREDENTIALS),
        (400, &["0072", "0201", "0202", "0203", "0204"], ACCOUNT),
        (400, &["0053", "0205", "0206"], PERMISSION),
        (400, &["0063", "0065", "0066", "0070"], Verdict::TaskStopped),
        (400, &["1001", "1021"], OVERLOADED),
        (403, &["0205", "0206"], PERMISSION),
        (404, &["0054", "1009", "0001"], Verdict::UnknownTask),
        (503, &["2004"], OVERLOADED),
    ];
    check_rows("OMS", &rows).await;
}

/// Every row of the gateway's table, at each status that it may come with, under both prefixes. Source: the error-code
/// page of the signing guide (`APIGW.*`) and of API Gateway (`APIG.*`).
#[tokio::test]
async fn every_code_of_the_gateway_has_its_verdict() {
    let rows: [Row; 19] = [
        (404, &["0101", "0103", "0104", "0105", "0106"], ENDPOINT),
        (400, &["0103", "0104", "0105", "0106"], ENDPOINT),
        (400, &["0201"], Verdict::Refused),
        (413, &["0201"], Verdict::Refused),
        (414, &["0201"], ENDPOINT),
        (494, &["0201"], ENDPOINT),
        (500, &["0201"], FAULTED),
        (502, &["0201"], FAULTED),
        (504, &["0201"], FAULTED),
        (401, &["0301", "0303", "0305", "0307"], CREDENTIALS),
        (403, &["0302", "0304", "0306", "0310", "0401", "0402", "0404", "0802"], PERMISSION),
        (429, &["0308"], THROTTLED),
        (405, &["0501", "0502", "0602", "0607"], ENDPOINT),
        (400, &["0501", "0502", "0602", "0607"], ENDPOINT),
        (500, &["0601", "0605", "0606", "0608", "0609", "0611", "0612", "0705"], FAULTED),
        (502, &["0610"], FAULTED),
        (503, &["0613"], OVERLOADED),
        (503, &["0801"], OVERLOADED), // its status is not published
        (500, &["0801"], FAULTED),
    ];
    for prefix in ["APIGW", "APIG"] {
        check_rows(prefix, &rows).await;
    }
}

#[tokio::test]
async fn the_configuration_can_give_a_code_another_meaning() {
    let list = |code: &str| vec![code.to_owned()];
    let codes = VerdictCodes {
        busy: list("OMS.0077"),
        endpoint: list("OMS.1008"),
        refused: list("OBS.0001"),
        own_prefixes: vec!["OMS.".to_owned(), "OMSX.".to_owned()],
        ..VerdictCodes::default()
    };
    for (code, expected) in [
        ("OMS.0077", OVERLOADED),
        ("OMS.1001", Verdict::Refused), // no longer in the list
        ("OMS.1008", ENDPOINT),
        ("OBS.0001", Verdict::Refused),
        ("OMSX.0001", Verdict::Refused),
        ("APIGW.0201", ENDPOINT),
        ("OMS.0068", CREDENTIALS),
    ] {
        let (listener, endpoint) = listen().await;
        let body = format!(r#"{{"error_code":"{code}","error_msg":"m"}}"#);
        let server = answer_once(listener, http(400, "", &body).into_bytes());
        let client = OmsClient::new(OmsSettings { codes: codes.clone(), ..settings(&endpoint) }).unwrap();
        assert_eq!(submit(&client).await.verdict, expected, "{code}");
        server.await.unwrap();
    }
}
