//! The signature against vectors that were made with the vendor's own SDK.

use oms_sync_worker::oms::sign::{Request, authorization, canonical_request};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    note: String,
    method: String,
    url: String,
    headers_in: std::collections::BTreeMap<String, String>,
    /// Absent where the vector does not come from a run of the SDK: then `headers_in` is all that is signed.
    headers_after_signing_except_authorization: Option<std::collections::BTreeMap<String, String>>,
    ak: String,
    sk: String,
    body_utf8_hex: String,
    canonical_request: String,
    authorization: String,
}

#[test]
fn every_vector_but_the_quirks_of_the_sdk_is_reproduced() {
    let vectors: Vectors = serde_json::from_str(include_str!("../fixtures/signing_vectors.json")).unwrap();
    let all = vectors.vectors.len();
    let mut checked = 0;
    for vector in vectors.vectors {
        if vector.note.contains("QUIRK") || vector.note.contains("TRAP") {
            continue;
        }
        let headers = vector.headers_after_signing_except_authorization.as_ref().unwrap_or(&vector.headers_in);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = hex::decode(&vector.body_utf8_hex).unwrap();
        let request = Request { method: &vector.method, url: &vector.url, headers: &headers, body: &body };
        assert_eq!(canonical_request(&request), vector.canonical_request, "{}", vector.name);
        assert_eq!(authorization(&request, &vector.ak, &vector.sk).unwrap(), vector.authorization, "{}", vector.name);
        checked += 1;
    }
    println!("{checked} of {all} vectors checked, the others are marked QUIRK or TRAP");
    assert_eq!((checked, all), (24, 27));
}
