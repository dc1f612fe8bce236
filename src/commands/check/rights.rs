//! What the brokers' answers say of this client's rights. Pure: how each right is asked for without leaving anything
//! behind is in `questions`.

use super::finding::Finding;
use crate::io::fault::Fault;

/// Who asks, for the commands that a remedy names.
#[derive(Clone, Debug)]
pub(super) struct Client {
    brokers: String,
    principal: Option<String>,
}

impl Client {
    pub(super) fn new(brokers: &str, user: Option<&str>) -> Self {
        Self { brokers: brokers.split_whitespace().collect(), principal: user.map(|user| format!("User:{user}")) }
    }

    /// The command that grants a right; `resource` as `kafka-acls.sh` takes it.
    pub(super) fn grant(&self, operation: &str, resource: &str) -> String {
        let principal = self.principal.as_deref().unwrap_or("User:NAME");
        format!(
            "grant it: kafka-acls.sh --bootstrap-server {} --add --allow-principal {principal} --operation {operation} {resource}",
            self.brokers
        )
    }

    /// The command that makes a topic.
    pub(super) fn create(&self, topic: &str, partitions: u32) -> String {
        format!(
            "make it: kafka-topics.sh --bootstrap-server {} --create --topic {topic} --partitions {partitions}",
            self.brokers
        )
    }
}

/// What reading came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Record,
    End,
}

/// Reading one partition of each broker that serves the topic.
pub(super) fn read(topic: &str, outcome: &Result<Read, Fault>, client: &Client) -> Finding {
    let check = format!("read {topic}");
    match outcome {
        Ok(Read::Record) => Finding::ok(check, "a record was read, without joining the group"),
        Ok(Read::End) => Finding::ok(check, "the end was read, without joining the group"),
        Err(fault) if fault.code == "TopicAuthorizationFailed" => {
            Finding::failed(check, "this client may not read it", client.grant("READ", &format!("--topic {topic}")))
        }
        Err(fault) => Finding::failed(check, fault.to_string(), "look at the brokers that serve it, and check again"),
    }
}

/// `committed`: whether the group's commit points could be asked for. `commit`: the answer to a commit for a partition
/// that does not exist, which the brokers only look for once the rights are settled.
pub(super) fn group(
    name: &str,
    committed: Result<(), &Fault>,
    commit: Option<&Result<(), Fault>>,
    client: &Client,
) -> Finding {
    let check = format!("group {name}");
    let fault = committed.err().or(commit.and_then(|commit| commit.as_ref().err()));
    let Some(fault) = fault else {
        return Finding::warning(
            check,
            "the brokers took a commit for a partition that does not exist: they are not like Apache Kafka's",
            "nothing the worker reads is touched by it; look whether commits work once the worker runs",
        );
    };
    match fault.code.as_str() {
        "UnknownTopicOrPartition" => Finding::ok(check, "may commit; nothing was committed, and the group not joined"),
        "GroupAuthorizationFailed" => {
            let grant = client.grant("READ", &format!("--group {name}"));
            Finding::failed(check, "this client may not use the group", grant)
        }
        "TopicAuthorizationFailed" => Finding::failed(
            check,
            "this client may not commit for the topics it reads",
            "give it the right READ on them, see above",
        ),
        _ => {
            Finding::failed(check, fault.to_string(), "look at the broker that coordinates the group, and check again")
        }
    }
}

/// `outcome`: what the brokers said to a record with `acks=2`, which none of them takes: the offset where one did.
pub(super) fn write(topic: &str, outcome: &Result<i64, Fault>, client: &Client) -> Finding {
    let check = format!("write {topic}");
    match outcome {
        Err(fault) if fault.code == "InvalidRequiredAcks" => Finding::ok(
            check,
            "may write: a record was refused for its acks, after the rights were looked at; nothing is written",
        ),
        Err(fault) if fault.code == "TopicAuthorizationFailed" => Finding::failed(
            check,
            "this client may not write to it",
            client.grant("WRITE", &format!("--topic {topic}")),
        ),
        Err(fault) => Finding::failed(check, fault.to_string(), "look at the brokers that serve it, and check again"),
        Ok(offset) => Finding::warning(
            check,
            format!(
                "may write, but these brokers took a record that Apache Kafka refuses: partition 0, offset {offset}"
            ),
            "it is empty and has the header oms-sync-check; dead-letters list shows it as not ours, replay leaves it",
        ),
    }
}

/// Whether the producer of dead letters gets its id.
pub(super) fn idempotence(outcome: &Result<(), Fault>, client: &Client) -> Finding {
    const CHECK: &str = "producer of dead letters";
    match outcome {
        Ok(()) => Finding::ok(CHECK, "gets a producer id, so it may write idempotently"),
        Err(fault) if fault.code.contains("AuthorizationFailed") => Finding::failed(
            CHECK,
            "this client may not write idempotently",
            format!(
                "{} (brokers before 3.0; later ones want WRITE on a topic)",
                client.grant("IdempotentWrite", "--cluster")
            ),
        ),
        Err(fault) => Finding::failed(CHECK, fault.to_string(), "look at the brokers' logs, and check again"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn fault(code: &str) -> Fault {
        Fault { code: code.to_owned(), text: "told".to_owned() }
    }

    fn client() -> Client {
        Client::new("b:9092", None)
    }

    #[test]
    fn a_record_refused_for_its_acks_proves_the_right_to_write() {
        let write = |outcome| write("t.dlq", &outcome, &client());
        assert_eq!(write(Err(fault("InvalidRequiredAcks"))).state, State::Ok);
        let denied = write(Err(fault("TopicAuthorizationFailed")));
        assert!(denied.remedy.unwrap().contains(
            "kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal User:NAME --operation WRITE --topic t.dlq"
        ));
        assert_eq!(write(Err(fault("OperationTimedOut"))).state, State::Failed);
        let taken = write(Ok(7));
        assert!(taken.state == State::Warning && taken.seen.contains("offset 7"), "a record is never left silently");
    }

    #[test]
    fn a_commit_for_a_partition_that_does_not_exist_proves_the_right_to_commit() {
        let check = |commit: Result<(), Fault>| group("g", Ok(()), Some(&commit), &Client::new("b:9092", None));
        assert_eq!(check(Err(fault("UnknownTopicOrPartition"))).state, State::Ok);
        let denied = check(Err(fault("GroupAuthorizationFailed")));
        assert!(denied.remedy.is_some_and(|remedy| remedy.contains("READ --group g")));
        assert_eq!(check(Err(fault("TopicAuthorizationFailed"))).state, State::Failed);
        assert_eq!(check(Ok(())).state, State::Warning);
        let denied = fault("GroupAuthorizationFailed");
        assert_eq!(group("g", Err(&denied), None, &Client::new("b:9092", None)).state, State::Failed);
    }

    #[test]
    fn reading_is_in_order_with_a_record_and_at_the_end() {
        for (outcome, state) in [
            (Ok(Read::Record), State::Ok),
            (Ok(Read::End), State::Ok),
            (Err(fault("TopicAuthorizationFailed")), State::Failed),
            (Err(fault("OperationTimedOut")), State::Failed),
        ] {
            assert_eq!(read("t", &outcome, &client()).state, state, "{outcome:?}");
        }
    }

    #[test]
    fn an_id_that_is_refused_names_the_right_of_older_brokers() {
        let denied = idempotence(&Err(fault("ClusterAuthorizationFailed")), &client());
        assert!(denied.remedy.unwrap().contains("IdempotentWrite --cluster"));
        assert_eq!(idempotence(&Ok(()), &client()).state, State::Ok);
    }
}
