//! The embedded CRM's pages on a real port, and browsers that open them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use gmail_sim::{Consent, Decision};
use reqwest::{Url, header};
use twinbox_host::{
    accounts::Connected,
    contract::Trigger,
    people::{People, Person},
    schedule::Schedule,
    scope::ConnectionId,
    vault::{SealedValues, sealed_values},
    web::{WebState, router},
};

use crate::World;

/// The pages of a world's user. They end when this is dropped.
pub struct Pages {
    origin: String,
    task: tokio::task::AbortHandle,
}

/// A browser, with cookies of its own.
pub struct Browser {
    origin: String,
    client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// What a browser got.
pub struct Page {
    /// The status.
    pub status: u16,
    /// Where it leads, if it is a redirect.
    pub location: Option<String>,
    /// The text.
    pub text: String,
}

/// Nothing runs by itself in a world.
struct Never;

impl Schedule for Never {
    fn wake(&self, _: &ConnectionId, _: Trigger) {}
}

impl World {
    /// Opens the pages.
    pub async fn pages(&self) -> Pages {
        let connections = Connected::new(self.platform.accounts.clone(), Arc::new(Never));
        let people = People::new(self.platform.database.clone()).unwrap();
        let user = Person::everybody(self.seat.tenant.clone(), self.seat.user.clone());
        let state = WebState::new(self.platform.crm.clone(), people, Arc::new(connections)).open_to(user);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router(state)).await });
        Pages {
            origin,
            task: task.abort_handle(),
        }
    }

    /// What the vault holds.
    pub async fn sealed(&self) -> SealedValues {
        sealed_values(&self.platform.database).await.unwrap()
    }

    /// What the consent page sends a browser back with when `account` decides there: the query.
    pub async fn decides(&self, consent_page: &Url, account: &str, decision: Decision) -> String {
        self.platform.sim.set_consent(Consent::Auto {
            account: Some(account.to_owned()),
            decision,
        });
        let page = self
            .platform
            .browser
            .get(consent_page.clone())
            .send()
            .await
            .unwrap();
        let back = Url::parse(page.headers()["location"].to_str().unwrap()).unwrap();
        back.query().unwrap_or_default().to_owned()
    }
}

impl Pages {
    /// A browser that was never here.
    pub fn browser(&self) -> Browser {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a browser");
        Browser {
            origin: self.origin.clone(),
            client,
            cookies: Mutex::default(),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Browser {
    /// Presses the button that connects a mailbox; the consent page it is sent to.
    pub async fn connects(&self, address: &str) -> Url {
        let settings = self.get("/settings").await.text;
        let (_, rest) = settings.split_once("name=\"csrf\" value=\"").unwrap();
        let csrf = rest.split('"').next().unwrap();
        let form = format!("csrf={csrf}&address={address}");
        let kind = "application/x-www-form-urlencoded";
        let request = self
            .client
            .post(format!("{}/oauth/connect", self.origin))
            .header(header::CONTENT_TYPE, kind)
            .body(form);
        let page = self.send(request).await;
        Url::parse(&page.location.expect("the consent page")).unwrap()
    }

    /// Comes back from the consent page with this query.
    pub async fn comes_back(&self, query: &str) -> Page {
        self.get(&format!("/oauth/callback?{query}")).await
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.origin))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<String> = {
            let cookies = self.cookies.lock().unwrap();
            cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        let answer = request
            .header(header::COOKIE, cookies.join("; "))
            .send()
            .await
            .unwrap();
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = answer.headers().get(header::LOCATION);
        Page {
            status: answer.status().as_u16(),
            location: location.map(|location| location.to_str().unwrap().to_owned()),
            text: answer.text().await.unwrap(),
        }
    }
}
