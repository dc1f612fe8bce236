//! One JSON object, with the members that tell families and envelopes apart.
//!
//! Parsed once for all of them. Members that nobody reads are passed over; those that one family alone reads are kept
//! as text for it, except for what every S3-shaped notification has. Whoever adds a member says whose it is.

use serde::Deserialize;

use super::shape::{Flag, List, Object, Raw, Size, Text};

/// One object: a record's value, an item of a list, or the content of an envelope.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Document<'a> {
    /// S3-shaped notifications, and the batches of Lambda.
    #[serde(borrow, rename = "Records")]
    pub(super) records: List<Object<Entry<'a>>>,
    /// The same where a Java library has written them anew.
    #[serde(borrow, rename = "records")]
    pub(super) java_records: List<Object<Entry<'a>>>,
    /// The batch of a FunctionGraph trigger of SMN.
    #[serde(borrow)]
    pub(super) record: List<Object<Entry<'a>>>,
    /// The batches of Aliyun OSS, Baidu BOS, Volcengine TOS and Huawei EventGrid.
    #[serde(borrow)]
    pub(super) events: List<Raw<'a>>,

    /// `s3:TestEvent` of AWS, which has no `Records`.
    #[serde(borrow, rename = "Event")]
    pub(super) test_event: Text<'a>,
    /// The bucket of a test event.
    #[serde(borrow, rename = "Bucket")]
    pub(super) test_bucket: Text<'a>,

    // One notification by itself, as it stands in a batch or in a CloudEvent.
    #[serde(borrow, rename = "eventSource")]
    pub(super) event_source: Option<Text<'a>>,
    #[serde(borrow, rename = "eventName")]
    pub(super) event_name: Text<'a>,
    #[serde(borrow)]
    pub(super) s3: Object<S3<'a>>,
    #[serde(borrow)]
    pub(super) obs: Object<S3<'a>>,
    /// Aliyun OSS.
    #[serde(borrow)]
    pub(super) oss: Raw<'a>,
    /// Volcengine TOS.
    #[serde(borrow)]
    pub(super) tos: Raw<'a>,
    /// Tencent COS.
    #[serde(borrow)]
    pub(super) cos: Raw<'a>,
    /// Tencent COS: an object; native and Ceph's pubsub zone: a text.
    #[serde(borrow)]
    pub(super) event: Raw<'a>,
    /// Ceph's pubsub zone.
    #[serde(borrow)]
    pub(super) info: Raw<'a>,
    /// Baidu BOS.
    #[serde(borrow, rename = "eventOrigin")]
    pub(super) event_origin: Text<'a>,
    /// Baidu BOS.
    #[serde(borrow)]
    pub(super) content: Raw<'a>,

    // CloudEvents; `subject`, `data` and `eventType` are Azure Event Grid's too.
    #[serde(borrow)]
    pub(super) specversion: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) kind_of_event: Text<'a>,
    #[serde(borrow)]
    pub(super) source: Text<'a>,
    #[serde(borrow)]
    pub(super) subject: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Raw<'a>,
    #[serde(borrow)]
    pub(super) data_base64: Raw<'a>,
    /// Azure Event Grid, Baidu BOS, and the attributes of Google's Pub/Sub as members.
    #[serde(borrow, rename = "eventType")]
    pub(super) event_type: Text<'a>,

    // The data of Azure's events.
    #[serde(borrow)]
    pub(super) api: Text<'a>,
    #[serde(borrow)]
    pub(super) url: Text<'a>,
    #[serde(borrow, rename = "destinationUrl")]
    pub(super) destination_url: Text<'a>,
    #[serde(rename = "contentLength")]
    pub(super) content_length: Size,

    /// AWS EventBridge.
    #[serde(borrow, rename = "detail-type")]
    pub(super) detail_type: Text<'a>,
    /// AWS EventBridge.
    #[serde(borrow)]
    pub(super) detail: Raw<'a>,

    // Google Cloud Storage: the attributes of Pub/Sub, and what an object resource begins with.
    #[serde(borrow)]
    pub(super) attributes: Raw<'a>,
    #[serde(borrow, rename = "messageId")]
    pub(super) message_id: Raw<'a>,
    #[serde(borrow, rename = "bucketId")]
    pub(super) bucket_id: Text<'a>,
    #[serde(borrow, rename = "objectId")]
    pub(super) object_id: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) size: Size,

    // Envelopes.
    /// SNS.
    #[serde(borrow, rename = "Type")]
    pub(super) sns_type: Text<'a>,
    /// SNS and Qiniu.
    #[serde(borrow, rename = "Message")]
    pub(super) sns_message: Raw<'a>,
    /// Qiniu, and of no use in SNS.
    #[serde(borrow, rename = "Subject")]
    pub(super) sns_subject: Text<'a>,
    /// SMN: a text; a push of Pub/Sub: an object.
    #[serde(borrow)]
    pub(super) message: Raw<'a>,
    /// Kafka Connect.
    #[serde(borrow)]
    pub(super) payload: Raw<'a>,
    /// An SQS message.
    #[serde(borrow)]
    pub(super) body: Raw<'a>,
    /// An SQS message as the API writes it.
    #[serde(borrow, rename = "Body")]
    pub(super) api_body: Raw<'a>,

    // Native; an object resource of Google has a bucket too.
    #[serde(borrow)]
    pub(super) bucket: Text<'a>,
    #[serde(borrow)]
    pub(super) sync_task_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    #[serde(borrow)]
    pub(super) keys: List<Text<'a>>,
    pub(super) encoded: Option<Flag>,
}

/// One item of `Records` or `record`.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Entry<'a> {
    #[serde(borrow, rename = "eventSource")]
    pub(super) event_source: Option<Text<'a>>,
    #[serde(borrow, rename = "eventName")]
    pub(super) event_name: Text<'a>,
    #[serde(borrow)]
    pub(super) s3: Object<S3<'a>>,
    #[serde(borrow)]
    pub(super) obs: Object<S3<'a>>,
    #[serde(borrow)]
    pub(super) cos: Raw<'a>,
    #[serde(borrow)]
    pub(super) event: Raw<'a>,
    /// Lambda's batch of SQS.
    #[serde(borrow)]
    pub(super) body: Raw<'a>,
    /// Lambda's batch of SNS.
    #[serde(borrow, rename = "Sns")]
    pub(super) sns: Raw<'a>,
    /// FunctionGraph's batch of SMN.
    #[serde(borrow)]
    pub(super) smn: Raw<'a>,
}

/// The member `s3` of a notification, and `obs`, which is of the same shape.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3<'a> {
    #[serde(borrow)]
    pub(super) bucket: Object<S3Bucket<'a>>,
    #[serde(borrow)]
    pub(super) object: Object<S3Object<'a>>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3Bucket<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3Object<'a> {
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    pub(super) size: Size,
    #[serde(borrow, rename = "eTag")]
    pub(super) etag: Text<'a>,
    /// As Nautilus of Ceph has it.
    #[serde(borrow, rename = "etag")]
    pub(super) lower_etag: Text<'a>,
}
