//! `/api/v1`: all that the pages do, for programs.
//!
//! A request brings a token (`Authorization: Bearer …`), which says whose tenant it is about; a session's
//! cookie opens nothing here, so no other site can act through a browser. Every answer that is none is a
//! problem document (RFC 9457) with one of the stable codes. A `POST` with an `Idempotency-Key` is done
//! once. The document is made of this code (`/api/v1/openapi.json`) and shown at `/api`.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{any, get},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Object, OpenApi as Document, RefOr, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::web::WebState;

mod asked;
mod connections;
mod contacts;
mod conversations;
mod domains;
mod explanations;
mod extract;
mod idempotency;
mod messages;
mod operations;
mod outbound;
mod privacy;
mod problem;
mod types;
mod viewer;
mod webhooks;

pub(crate) use problem::Problem;

/// Where it is.
pub(crate) const PREFIX: &str = "/api/v1";
/// The longest JSON body, in bytes: the longest text, and what JSON makes of it.
const BODY_LIMIT: usize = 4 << 20;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Twinbox",
        description = "Conversations with contacts, kept the same as a Gmail mailbox. Times are milliseconds since the \
                       Unix epoch, UTC; sizes are bytes. What is not a success is a problem document with a stable code. \
                       Passwords and sessions are for browsers alone: a token is made and ended by the server's \
                       command line."
    ),
    components(schemas(Problem)),
    security(("token" = [])),
    modifiers(&Token),
    tags(
        (name = "contacts", description = "Whose mail is synced"),
        (name = "conversations", description = "The messages with a contact"),
        (name = "messages", description = "One message; writing mail"),
        (name = "connections", description = "The links to mailboxes"),
        (name = "operations", description = "How the sync is, for administrators"),
        (name = "webhooks", description = "Who is told of what happens, for administrators"),
    ),
)]
struct Described;

/// How requests say who they are.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("`twinbox token create LOGIN --name NAME`"));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// The header that makes any other `POST` than that of mail happen once.
fn with_idempotency_keys(mut document: Document) -> Document {
    let header = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 255 visible characters: done once under this key, for a day",
        ))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    for item in document.paths.paths.values_mut() {
        let Some(post) = &mut item.post else { continue };
        let parameters = post.parameters.get_or_insert_default();
        let is_it = |known: &RefOr<Parameter>| matches!(known, RefOr::T(known) if known.name == header.name);
        if !parameters.iter().any(is_it) {
            parameters.push(header.clone().into());
        }
    }
    document
}

/// All of it.
pub(crate) fn router(site: &WebState) -> Router<WebState> {
    let (routes, document) = routes().split_for_parts();
    let document = with_idempotency_keys(document);
    let served = serde_json::to_string(&document).unwrap_or_default();
    let page = viewer::page(&document);
    routes
        .route("/api/{*path}", any(problem::no_such_thing))
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(site.people.clone(), idempotency::once))
        .route(
            "/api/v1/openapi.json",
            get(|| async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], served) }),
        )
        .route("/api", get(|| async move { axum::response::Html(page) }))
}

/// The document.
pub fn document() -> Document {
    with_idempotency_keys(routes().split_for_parts().1)
}

fn routes() -> OpenApiRouter<WebState> {
    let small = OpenApiRouter::new()
        .routes(routes!(connections::me))
        .routes(routes!(connections::users))
        .routes(routes!(contacts::list, contacts::create))
        .routes(routes!(contacts::one))
        .routes(routes!(contacts::private))
        .routes(routes!(contacts::assign))
        .routes(routes!(contacts::import))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::messages))
        .routes(routes!(conversations::read))
        .routes(routes!(messages::one, messages::mark, messages::delete))
        .routes(routes!(messages::part))
        .routes(routes!(messages::cancel))
        .routes(routes!(messages::send_now))
        .routes(routes!(messages::why))
        .routes(routes!(connections::list, connections::begin))
        .routes(routes!(connections::finish))
        .routes(routes!(connections::sync))
        .routes(routes!(connections::disconnect))
        .routes(routes!(connections::chosen, connections::choose))
        .routes(routes!(connections::sends))
        .routes(routes!(explanations::explain))
        .routes(routes!(explanations::preview))
        .routes(routes!(privacy::lists, privacy::set_lists))
        .routes(routes!(privacy::retract))
        .routes(routes!(privacy::set_private))
        .routes(routes!(privacy::bcc_address, privacy::rotate_bcc_address))
        .routes(routes!(domains::check))
        .routes(routes!(operations::overview))
        .routes(routes!(operations::traffic))
        .routes(routes!(operations::explain))
        .routes(routes!(operations::set_aside))
        .routes(routes!(operations::retry))
        .routes(routes!(operations::audit))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::remove))
        .routes(routes!(webhooks::ping))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    let large = OpenApiRouter::new()
        .routes(routes!(outbound::send))
        .layer(DefaultBodyLimit::max(outbound::REQUEST_LIMIT));
    OpenApiRouter::with_openapi(Described::openapi())
        .nest(PREFIX, small)
        .nest(PREFIX, large)
}
