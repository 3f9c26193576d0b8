//! Writes metric families: name, help, samples.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use skein_base::durations::DurationCounts;

/// The output.
pub(crate) struct MetricsPage<'a>(pub(crate) DescriptorEncoder<'a>);

impl MetricsPage<'_> {
    /// Constant values, as labels.
    pub(crate) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    /// A current number.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// A current time or duration, in seconds.
    pub(crate) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// Current numbers that differ in one label. Label values are words of the code, never ids.
    pub(crate) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &[(&'static str, u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (word, value) in values {
            ConstGauge::new(*value).encode(family.encode_family(&[(label, *word)])?)?;
        }
        Ok(())
    }

    /// A counter; its samples are named `name_total`.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// A distribution of durations.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, taken: &DurationCounts) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        family.encode_histogram::<NoLabelSet>(taken.sum, taken.count, &taken.buckets, None)
    }

    /// Distributions of durations that differ in one label.
    pub(crate) fn histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        all: &[(&'static str, DurationCounts)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (word, taken) in all {
            let labels = [(label, *word)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(taken.sum, taken.count, &taken.buckets, None)?;
        }
        Ok(())
    }
}
