//! What is counted, by name.

mod core;
mod parts;

use std::path::Path;

/// Does something that many times.
pub type Work = Box<dyn FnOnce(usize) -> anyhow::Result<()>>;

/// One record of a family each, with a small one and one in envelopes among them.
const RECORDS: [(&str, &str); 6] = [
    ("decode aws-s3", "aws/put_literal_percent2F_no_double_decode.json"),
    ("decode huawei-obs", "huawei/eventgrid_ce_encoded.json"),
    ("decode minio", "minio/put_chinese_emoji.json"),
    ("decode azure-blob", "azure/eventgrid_array_blobcreated.json"),
    ("decode gcs", "gcs/pubsub_push_payload_none.json"),
    ("decode five envelopes", "aws/five_envelopes.json"),
];

/// Tasks, partitions and keys that wait, enough for full events of every task; the first is what the others are compared
/// with.
const CORES: [(usize, usize, usize); 5] =
    [(1, 1, 100), (1_000, 1, 20_000), (1, 1_000, 100), (1, 1, 100_000), (100, 100, 10_000)];

/// All of it.
pub fn all() -> Vec<(String, Work)> {
    let mut all: Vec<(String, Work)> = Vec::new();
    for (name, file) in RECORDS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/records").join(file);
        all.push((name.to_owned(), Box::new(move |times| parts::decode(&std::fs::read(path)?, times))));
    }
    all.push(("intake aws-s3".to_owned(), Box::new(parts::intake)));
    all.push(("encode a key".to_owned(), Box::new(parts::encode)));
    all.push(("sign an event".to_owned(), Box::new(parts::sign)));
    all.push(("body of an event".to_owned(), Box::new(parts::body)));
    for (tasks, partitions, waiting) in CORES {
        let name = format!("core, tasks {tasks}, partitions {partitions}, waiting {waiting}");
        all.push((name, Box::new(move |times| core::World::new(tasks, partitions, waiting)?.run(times))));
    }
    all
}
