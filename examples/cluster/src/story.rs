//! What happens, in plain words.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use demo_support::{interrupted, listen};
use dpop_test_servers::free_port;
use dpop_tower::{
    nonce::NonceSecret,
    test_util::{TestClient, TestIssuer},
};
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::{
    Arguments, Result, Store,
    database::Database,
    nginx::Nginx,
    nodes::{Common, Node},
    thief::{Proof, Tally, Thief, passed, passed_twice},
};

/// Proofs that are under way at one time.
const AT_ONCE: usize = 16;

struct Story {
    thief: Arc<Thief>,
    nodes: [Node; 3],
    common: Common,
    proofs: usize,
    as_expected: bool,
}

/// Tells the story, and returns whether no proof passed twice and everything recovered.
pub(crate) async fn tell(arguments: Arguments) -> Result<bool> {
    let store = arguments.store;
    let mut database = Database::start(store).await;
    // nginx cannot be handed a socket.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let common = Common {
        origin: format!("http://{address}"),
        issuer: TestIssuer::new(),
        secret: NonceSecret::random()?,
        store: database.url(),
        replicas: database.replicas(),
    };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let (listener, _) = listen(0).await?;
        nodes.push(Node::start(&common, listener).await?);
    }
    let nodes: [Node; 3] = nodes.try_into().map_err(|_| "not three nodes")?;
    let addresses = [nodes[0].address, nodes[1].address, nodes[2].address];
    let _nginx = Nginx::start(store, address, addresses).await?;
    println!("Three nodes behind nginx, and {}\n", database.what());
    println!("  nginx     {}", common.origin);
    for node in addresses {
        println!("  node      http://{node}");
    }
    if let Some(url) = &common.store {
        println!("  store     {url}");
    }
    println!();

    let client = TestClient::new();
    let token = common
        .issuer
        .token()
        .subject("alice")
        .bound_to(&client)
        .mint();
    let urls = addresses.map(|node| format!("http://{node}"));
    let mut thief = Thief::new(client, token, &common.origin, &urls)?;
    if store == Store::Hash {
        thief.only_through_nginx();
    }
    let mut story = Story {
        thief: Arc::new(thief),
        nodes,
        common,
        proofs: arguments.proofs,
        as_expected: true,
    };
    story.run(&mut database).await?;
    match story.as_expected {
        true => println!("No proof passed twice."),
        false => println!("Something was NOT as expected: see the lines marked with `!`."),
    }
    if arguments.serve {
        println!("\nEverything keeps running. Ctrl-C stops it.");
        interrupted().await;
    }
    Ok(story.as_expected)
}

impl Story {
    async fn run(&mut self, database: &mut Database) -> Result<()> {
        // The fence admits the first proofs with a nonce, or a moment later.
        self.all_nodes_recover().await?;
        let mut before = self.proofs().await;
        let tally = self.send(&mut before).await?;
        let places = match database {
            Database::None => "through nginx three times",
            _ => "to each node and through nginx",
        };
        println!(
            "1. A thief sends {} proofs, each {places} at one moment.",
            self.proofs
        );
        println!("   {tally}");
        let all = passed(&before) == before.len() && passed_twice(&before) == 0;
        self.expect(all, "each proof passes exactly once");

        println!("\n2. {}", database.will_happen());
        let (mut during, tally) = self.send_while(database).await?;
        println!("   {} requests meanwhile: {tally}", tally.total());
        self.expect(passed_twice(&during) == 0, "no proof passes twice");

        println!("\n3. Nobody restarts a node, and an honest client calls again.");
        let called = self.thief.call().await;
        self.expect(
            called.is_ok(),
            "it is admitted, with one more request if it needs a nonce",
        );
        self.all_nodes_recover().await?;

        println!("\n4. The thief sends all proofs from before once more, everywhere.");
        let mut tally = Tally::default();
        for proofs in [&mut before, &mut during] {
            // What was admitted before counts, so another time would be twice.
            tally.merge(self.send(proofs).await?);
        }
        println!("   {tally}");
        let none = passed_twice(&before) == 0 && passed_twice(&during) == 0;
        self.expect(none, "none of those that were used passes");

        let mut after = self.proofs().await;
        let tally = self.send(&mut after).await?;
        println!("\n5. {} new proofs, as in the first step.", self.proofs);
        println!("   {tally}");
        let all = passed(&after) == after.len() && passed_twice(&after) == 0;
        self.expect(all, "each passes exactly once again");
        println!();
        Ok(())
    }

    fn expect(&mut self, holds: bool, what: &str) {
        self.as_expected &= holds;
        println!("{} {what}", if holds { "   ->" } else { "!  NOT:" });
    }

    async fn proofs(&self) -> Vec<Proof> {
        let mut proofs = Vec::new();
        for _ in 0..self.proofs {
            proofs.push(self.thief.proof());
            // Signing takes a moment, and the runtime has other work.
            tokio::task::yield_now().await;
        }
        proofs
    }

    /// Sends each proof everywhere at one moment, several proofs at a time.
    async fn send(&self, proofs: &mut [Proof]) -> Result<Tally> {
        let mut tally = Tally::default();
        for some in proofs.chunks_mut(AT_ONCE) {
            for sent in join_all(
                some.iter_mut()
                    .map(|proof| self.thief.send_everywhere(proof)),
            )
            .await
            {
                tally.merge(sent?);
            }
        }
        Ok(tally)
    }

    /// Goes on sending new proofs while the database fails and comes back, or a node is restarted.
    async fn send_while(&mut self, database: &mut Database) -> Result<(Vec<Proof>, Tally)> {
        let over = Arc::new(Notify::new());
        let thief = Arc::clone(&self.thief);
        let stop = Arc::clone(&over);
        let sending = async move {
            let (mut proofs, mut tally) = (Vec::new(), Tally::default());
            let mut stopped = std::pin::pin!(stop.notified());
            let mut is_over = false;
            while !is_over || proofs.len() < 20 {
                let mut proof = thief.proof();
                tally.merge(thief.send_everywhere(&mut proof).await?);
                proofs.push(proof);
                tokio::select! {
                    () = &mut stopped, if !is_over => is_over = true,
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
            Result::Ok((proofs, tally))
        };
        let sending = tokio::spawn(sending);
        tokio::time::sleep(Duration::from_millis(200)).await;
        match database {
            Database::None => self.nodes[0].restart(&self.common).await?,
            database => database.fail_and_recover().await,
        }
        over.notify_one();
        sending.await?
    }

    /// Waits until every node admits requests again.
    async fn all_nodes_recover(&self) -> Result<()> {
        for node in &self.nodes {
            (self
                .thief
                .call_at(&format!("http://{}/resource", node.address)))
            .await?;
        }
        Ok(())
    }
}
