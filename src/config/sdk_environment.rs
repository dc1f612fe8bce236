//! The variables of Huawei Cloud's own SDKs, used where neither the worker's variables nor the file say anything.

use serde_json::{Map, Value};

use super::problem::Origins;

/// Families of variables, the first that fits wins. Source: Huawei Cloud's SDKs for Python, Go and Java.
const FAMILIES: [&str; 2] = ["HUAWEICLOUD_SDK", "CLOUD_SDK"];

/// Where credentials come from, by the variables that the SDKs and CCE use for it. Source: the SDK for Python.
const SERVICES: [(&str, &str); 4] = [
    ("profile_file", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"),
    ("pod_identity_url", "HC_CONTAINER_CREDENTIALS_FULL_URI"),
    ("pod_identity_token_file", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    ("iam_endpoint", "HUAWEICLOUD_SDK_IAM_ENDPOINT"),
];

/// Fills in credentials and project where they are missing.
///
/// A family whose access key is not the one in use gives nothing, and a token never comes without its access key:
/// halves of two identities make signatures that fail, and failed signatures lock the key.
pub(super) fn fill(variables: &[(String, String)], tree: &mut Value, origins: &mut Origins) {
    let variable = |name: String| {
        let (name, text) = variables.iter().find(|(known, text)| *known == name && !text.trim().is_empty())?;
        Some((name.clone(), text.trim().to_owned()))
    };
    let Some(oms) = section(tree, "oms") else { return };
    set(oms, origins, "oms", "project_id", variable(format!("{}_PROJECT_ID", FAMILIES[0])));
    let Some(credentials) = section(oms, "credentials") else {
        return;
    };
    for (key, name) in SERVICES {
        set(credentials, origins, "oms.credentials", key, variable(name.to_owned()));
    }
    let profile = variable("HOME".to_owned()).map(|(name, home)| (name, format!("{home}/.huaweicloud/credentials")));
    set(credentials, origins, "oms.credentials", "profile_file", profile);
    for family in FAMILIES {
        let access_key = variable(format!("{family}_AK"));
        let in_use = credentials.get("access_key").and_then(Value::as_str).map(str::trim);
        if let (Some(in_use), Some((_, own))) = (in_use, &access_key)
            && in_use != own
        {
            continue;
        }
        let token = access_key.as_ref().and_then(|_| variable(format!("{family}_SECURITY_TOKEN")));
        let secret_key = variable(format!("{family}_SK"));
        for (key, value) in [("access_key", access_key), ("secret_key", secret_key), ("security_token", token)] {
            set(credentials, origins, "oms.credentials", key, value);
        }
    }
}

fn section<'a>(parent: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let place = parent.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new()));
    place.is_object().then_some(place)
}

fn set(place: &mut Value, origins: &mut Origins, path: &str, key: &str, found: Option<(String, String)>) {
    if place.get(key).is_none()
        && let Some((name, text)) = found
    {
        place[key] = Value::String(text);
        origins.insert(format!("{path}.{key}"), name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(credentials: &Value, variables: &[(&str, &str)], expected: &Value) {
        let variables: Vec<_> = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mut tree = json!({ "oms": { "credentials": credentials } });
        fill(&variables, &mut tree, &mut Origins::new());
        assert_eq!(&tree["oms"]["credentials"], expected);
    }

    #[test]
    fn what_is_written_wins_over_the_sdk_variables() {
        let variables = [("HUAWEICLOUD_SDK_SK", "env-sk"), ("CLOUD_SDK_AK", "other"), ("CLOUD_SDK_SK", "other")];
        check(&json!({ "access_key": "a" }), &variables, &json!({ "access_key": "a", "secret_key": "env-sk" }));
    }

    #[test]
    fn two_identities_are_never_mixed() {
        let variables =
            [("HUAWEICLOUD_SDK_AK", "h"), ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t"), ("CLOUD_SDK_SK", "ignored?")];
        check(
            &json!({ "access_key": "a", "secret_key": "s" }),
            &variables,
            &json!({ "access_key": "a", "secret_key": "s" }),
        );
        let variables = [("HUAWEICLOUD_SDK_AK", "h"), ("CLOUD_SDK_AK", "c"), ("CLOUD_SDK_SK", "c-secret")];
        check(&json!({}), &variables, &json!({ "access_key": "h" }));
    }

    #[test]
    fn a_token_comes_with_its_access_key_only() {
        let variables = [("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t"), ("CLOUD_SDK_AK", "c"), ("CLOUD_SDK_SK", "s")];
        check(&json!({}), &variables, &json!({ "access_key": "c", "secret_key": "s" }));
    }
}
