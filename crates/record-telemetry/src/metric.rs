//! The names, units and dimensions of the metrics.

/// Declares [`Metric`] from one line per metric: its name, CloudWatch's unit, and its scope.
macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident: $unit:ident per $scope:ident,)+) => {
        /// A metric. Its name in CloudWatch is that of the variant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Metric {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Metric {
            /// All metrics, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the metric's name in CloudWatch.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Returns CloudWatch's name of the metric's unit.
            #[must_use]
            pub fn unit(self) -> &'static str {
                match self { $(Self::$name => stringify!($unit),)+ }
            }

            /// Returns `true` if the metric is counted for each Region, and not for the whole service.
            #[must_use]
            pub fn is_regional(self) -> bool {
                let scope = match self { $(Self::$name => Scope::$scope,)+ };
                matches!(scope, Scope::Region)
            }
        }
    };
}

enum Scope {
    Service,
    Region,
}

metrics! {
    /// Requests for a data key that the cache answered.
    DataKeyCacheHits: Count per Service,
    /// Requests for a data key that called KMS.
    DataKeyCacheMisses: Count per Service,
    /// Data keys evicted from the cache because it was full.
    DataKeyCacheEvictions: Count per Service,
    /// KMS calls, each attempt of the AWS SDK counted.
    KmsCalls: Count per Region,
    /// KMS calls that failed.
    KmsErrors: Count per Region,
    /// Duration of KMS calls.
    KmsLatency: Milliseconds per Region,
    /// Records accepted.
    RecordsIn: Count per Service,
    /// Bytes of the accepted records.
    BytesIn: Bytes per Service,
    /// Records that were not sent to any Region.
    RecordsRefused: Count per Service,
    /// Messages that Kinesis acknowledged.
    MessagesDelivered: Count per Region,
    /// Bytes of the acknowledged messages, including partition keys.
    BytesDelivered: Bytes per Region,
    /// Messages returned as undelivered.
    MessagesUndelivered: Count per Region,
    /// PutRecords requests.
    PutRecordsRequests: Count per Region,
    /// Attempts to send a message that failed for another reason than throttling.
    FailedAttempts: Count per Region,
    /// Attempts to send a message that Kinesis throttled.
    ThrottledAttempts: Count per Region,
    /// Items written to DynamoDB.
    ItemsWritten: Count per Service,
    /// Kinesis records reported to Lambda as batch item failures.
    RecordsFailed: Count per Service,
    /// Kinesis records stored in the quarantine.
    RecordsQuarantined: Count per Service,
    /// Invocations that were too short for the first record of their batch.
    BatchesStalled: Count per Service,
    /// Duration of an invocation, from event to response.
    BatchLatency: Milliseconds per Service,
    /// First invocations of execution environments.
    ColdStarts: Count per Service,
}
