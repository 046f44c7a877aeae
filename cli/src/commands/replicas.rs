//! Options of `codec train` for several devices and machines.

use std::time::Duration;

use clap::Args;
use codec::DeviceChoice;
use codec::distributed::Nodes;

/// Where the replicas of a run are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several devices and machines")]
pub struct ReplicaArgs {
    /// Train on all of these, instead of --device, for instance cuda:0,cuda:1
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 1)]
    pub devices: Vec<DeviceChoice>,
    /// Number of machines, each started with the same command but its own rank
    #[arg(long, value_name = "N", requires_all = ["node_rank", "coordinator", "node_address"])]
    pub nodes: Option<usize>,
    /// Number of this machine, from 0
    #[arg(long, value_name = "R", requires = "nodes")]
    pub node_rank: Option<usize>,
    /// Where codec train-coordinator runs
    #[arg(long, value_name = "HOST:PORT", requires = "nodes")]
    pub coordinator: Option<String>,
    /// Where the other machines reach this one; the next port is used, too
    #[arg(long, value_name = "HOST:PORT", requires = "nodes")]
    pub node_address: Option<String>,
    /// Longest time a device waits for the others, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub exchange_timeout: u64,
}

impl ReplicaArgs {
    /// Whether there is more than one replica to come.
    pub fn several(&self) -> bool {
        !self.devices.is_empty() || self.nodes.is_some()
    }

    /// The machines, if there are several.
    pub fn nodes(&self) -> Option<Nodes> {
        Some(Nodes {
            count: self.nodes?,
            rank: self.node_rank?,
            coordinator: self.coordinator.clone()?,
            address: self.node_address.clone()?,
        })
    }

    /// How long a device waits.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.exchange_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    fn options(line: &str) -> ReplicaArgs {
        let Command::Train(args) = parse(line).unwrap().command else {
            panic!()
        };
        args.replicas
    }

    #[test]
    fn options_parse() {
        let plain = options("train r.toml --out run");
        assert!(!plain.several() && plain.nodes().is_none());
        let two = options("train r.toml --out run --devices cpu,cpu --exchange-timeout 9");
        assert_eq!(two.devices, [DeviceChoice::Cpu, DeviceChoice::Cpu]);
        assert_eq!(two.timeout(), Duration::from_secs(9));
        let nodes = options(
            "train r.toml --out run --nodes 2 --node-rank 1 --coordinator a:1 --node-address b:2",
        )
        .nodes()
        .unwrap();
        assert_eq!((nodes.count, nodes.rank), (2, 1));
        assert_eq!(
            (nodes.coordinator.as_str(), nodes.address.as_str()),
            ("a:1", "b:2")
        );
        for bad in [
            "--nodes 2",
            "--nodes 2 --node-rank 0 --coordinator a:1",
            "--node-rank 0",
            "--devices nonsense",
        ] {
            assert!(
                parse(&format!("train r.toml --out run {bad}")).is_err(),
                "{bad}"
            );
        }
    }
}
