//! The rules of `oms.verdict_codes`: every code can come from an error body, and none has two meanings.

use std::collections::HashMap;

use crate::config::problem::Findings;
use crate::oms::verdict::{MAX_CODE_BYTES, VerdictCodes};

pub(super) fn check(codes: &VerdictCodes, findings: &mut Findings) {
    let mut seen = HashMap::new();
    for (list, codes) in codes.lists() {
        for (index, code) in codes.iter().enumerate() {
            let path = path(list, index);
            if !is_code(code) {
                findings.add(&path, &format!("{code:?} is not an error code"), "write for example OMS.0063");
            } else if let Some(first) = seen.insert(code, path.clone()) {
                findings.add(&path, &format!("{code} is also {first}"), "keep one of the two");
            }
        }
    }
    for (index, prefix) in codes.own_prefixes.iter().enumerate() {
        if !is_code(prefix) {
            let what = format!("{prefix:?} is not what an error code begins with");
            findings.add(&path("own_prefixes", index), &what, "write for example OMS.");
        }
    }
}

fn path(list: &str, index: usize) -> String {
    format!("oms.verdict_codes.{list}[{index}]")
}

fn is_code(text: &str) -> bool {
    (1..=MAX_CODE_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
