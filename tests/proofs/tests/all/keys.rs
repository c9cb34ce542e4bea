//! Sealing keys rotated by one process while another serves: by hand, and killed at any moment.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use gmail_sim::Sim;
use rand::Rng;
use serde_json::Value;

use crate::site::{ME, PATIENCE, Site, answer, text};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_a_server_refreshes_and_connects_even_if_rotations_are_killed() {
    let site = Site::start("").await;
    let consent_page = site.begins().await;
    // A sign-in that is under way when the key changes.
    let first = site.rotate();
    site.comes_back(consent_page).await;
    site.assert_syncing("after the first rotation").await;
    let old = site.key_file();
    let mut retired = BTreeSet::from([text(&first["retired"][0])]);
    for number in 0..5 {
        let rotation = site.rotate();
        assert_eq!(rotation["unreadable"], 0, "{rotation}");
        retired.insert(text(&rotation["retired"][0]));
        site.assert_syncing(&format!("after rotation {number}")).await;
    }
    assert_eq!(retired.len(), 6, "each rotation retires another key");
    let mut killed = 0;
    for _ in 0..20 {
        let mut rotation = site.twinbox(&["keys", "rotate"]).spawn().unwrap();
        let moment = rand::rng().random_range(0..60);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        killed += u32::from(rotation.try_wait().unwrap().is_none());
        rotation.kill().unwrap();
        rotation.wait().unwrap();
    }
    println!("{killed} of 20 rotations were killed");
    site.assert_syncing("after the kills").await;
    let last = site.rotate();
    site.assert_syncing("at the end").await;
    let keys = site.keys();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(keys["keys"][0]["id"], last["current"]);
    assert_eq!(
        (&keys["keys"][0]["values"], &keys["unreadable"]),
        (&2.into(), &0.into()),
        "{keys}"
    );
    // The old key opens nothing.
    std::fs::write(site.folder.path().join("data/sealing.key"), old).unwrap();
    let keys = site.keys();
    assert_eq!(
        (&keys["keys"][0]["values"], &keys["unreadable"]),
        (&0.into(), &2.into()),
        "{keys}"
    );
}

impl Site {
    /// Its access tokens end; it refreshes, goes on, and complains of nothing.
    async fn assert_syncing(&self, when: &str) {
        self.sim.expire_access_tokens(ME);
        let asked = |sim: &Sim| {
            let stats = sim.stats();
            (
                stats.requests,
                stats.oauth.get("/token").copied().unwrap_or_default(),
            )
        };
        let (requests, refreshes) = asked(&self.sim);
        let since = Instant::now();
        while {
            let now = asked(&self.sim);
            now.0 <= requests + 1 || now.1 <= refreshes
        } {
            assert!(since.elapsed() < PATIENCE, "{when}: it does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let page = self
            .send(self.client.get(format!("{}/settings", self.origin)))
            .await;
        let page = page.text().await.unwrap();
        assert!(
            page.contains("Connected") && !page.contains("class=\"code\""),
            "{when}: {page}"
        );
    }

    fn rotate(&self) -> Value {
        answer(self.twinbox(&["keys", "rotate", "--json"]))
    }

    fn keys(&self) -> Value {
        answer(self.twinbox(&["keys", "list", "--json"]))
    }

    fn key_file(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("data/sealing.key")).unwrap()
    }
}
