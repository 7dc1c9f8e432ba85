//! The names of the metrics.

/// Something that is measured. Its name in CloudWatch is that of the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Metric {
    /// Requests for materials that the data key cache answered.
    DataKeyCacheHits,
    /// Requests for materials that asked KMS.
    DataKeyCacheMisses,
    /// Data keys that made room for others in the cache.
    DataKeyCacheEvictions,
    /// Calls of KMS, each try of the AWS SDK counted.
    KmsCalls,
    /// Calls of KMS that failed.
    KmsErrors,
    /// How long calls of KMS took.
    KmsLatency,
    /// Records that were taken in.
    RecordsIn,
    /// Their bytes.
    BytesIn,
    /// Records that were not sent to any Region.
    RecordsRefused,
    /// Messages that Kinesis acknowledged.
    MessagesDelivered,
    /// Bytes of those, partition keys counted.
    BytesDelivered,
    /// Messages that were handed back.
    MessagesUndelivered,
    /// PutRecords requests.
    PutRecordsRequests,
    /// Tries of single messages that failed for another reason than throttling.
    FailedTries,
    /// Tries of single messages that the stream was too busy for.
    ThrottledTries,
    /// Items that DynamoDB took.
    ItemsWritten,
    /// Kinesis records that were reported back to Lambda.
    RecordsFailed,
    /// Kinesis records that were stored in the quarantine.
    RecordsQuarantined,
    /// From a function's event to its answer.
    BatchLatency,
    /// First invocations of execution environments.
    ColdStarts,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::DataKeyCacheHits,
        Self::DataKeyCacheMisses,
        Self::DataKeyCacheEvictions,
        Self::KmsCalls,
        Self::KmsErrors,
        Self::KmsLatency,
        Self::RecordsIn,
        Self::BytesIn,
        Self::RecordsRefused,
        Self::MessagesDelivered,
        Self::BytesDelivered,
        Self::MessagesUndelivered,
        Self::PutRecordsRequests,
        Self::FailedTries,
        Self::ThrottledTries,
        Self::ItemsWritten,
        Self::RecordsFailed,
        Self::RecordsQuarantined,
        Self::BatchLatency,
        Self::ColdStarts,
    ];

    /// The name in CloudWatch.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// CloudWatch's name of the unit.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::KmsLatency | Self::BatchLatency => "Milliseconds",
            Self::BytesIn | Self::BytesDelivered => "Bytes",
            _ => "Count",
        }
    }

    /// Whether it is measured for each Region.
    #[must_use]
    pub fn is_regional(self) -> bool {
        matches!(
            self,
            Self::KmsCalls
                | Self::KmsErrors
                | Self::KmsLatency
                | Self::MessagesDelivered
                | Self::BytesDelivered
                | Self::MessagesUndelivered
                | Self::PutRecordsRequests
                | Self::FailedTries
                | Self::ThrottledTries
        )
    }
}
