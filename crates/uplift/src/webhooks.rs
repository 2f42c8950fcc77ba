//! Where an account hears of its requests.

use reqwest::Method;
use serde_json::json;
use uplift_core::api::{DeliveryView, WebhookView};
use uuid::Uuid;

use crate::{cli::Webhooks, client::Patience, context::Context, exit::Exit, text};

pub(crate) async fn execute(context: &Context, command: Webhooks) -> anyhow::Result<Exit> {
    let client = &context.client;
    match command {
        Webhooks::Add { url } => {
            // Not tried again: a second one would be another webhook.
            let request = client.request(Method::POST, &["webhooks"]).json(&json!({ "url": url }));
            let added: WebhookView = client.read(client.once(request).await?).await?;
            if context.print.is_json() {
                context.print.json(&added)?;
            } else {
                context.print.out(&format!("webhook  {}", added.id))?;
                context.print.out(&format!("secret   {}", added.secret.unwrap_or_default()))?;
                context.print.note("keep the secret: it is shown here and never again");
            }
        }
        Webhooks::List => list(context).await?,
        Webhooks::Remove { webhook } => {
            let path = ["webhooks", &webhook.to_string()];
            client.send(|| client.request(Method::DELETE, &path), Patience::Short).await?;
            context.print.note("removed");
        }
        Webhooks::Enable { webhook } => {
            let path = ["webhooks", &webhook.to_string(), "enable"];
            let enabled: WebhookView = client.post(&path, &json!({}), Patience::Short).await?;
            context.print.note(&format!("webhook {} is in use again", enabled.id));
        }
        Webhooks::Deliveries { webhook } => deliveries(context, webhook).await?,
        Webhooks::Replay { delivery } => {
            let path = ["deliveries", &delivery.to_string(), "replay"];
            let again: DeliveryView = client.post(&path, &json!({}), Patience::Short).await?;
            context.print.note(&format!("{} of request {} is told again", again.topic, again.request));
        }
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let found: Vec<WebhookView> = context.client.get(&["webhooks"], &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&found)?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|webhook| {
            let state =
                webhook.disabled_why.as_ref().map_or("in use".to_owned(), |why| format!("disabled: {why}"));
            vec![webhook.id.to_string(), text::line(&webhook.url), text::line(&state)]
        })
        .collect();
    context.print.table(&["WEBHOOK", "ADDRESS", "STATE"], &rows)?;
    Ok(())
}

async fn deliveries(context: &Context, webhook: Uuid) -> anyhow::Result<()> {
    let path = ["webhooks", &webhook.to_string(), "deliveries"];
    let told: Vec<DeliveryView> = context.client.get(&path, &[], Patience::Short).await?;
    if context.print.is_json() {
        context.print.json(&told)?;
        return Ok(());
    }
    let now = context.clock.now();
    let rows: Vec<Vec<String>> = told
        .iter()
        .map(|told| {
            let state = match (told.delivered_at, told.next_at) {
                (Some(at), _) => format!("delivered {}", text::ago(at, now)),
                (None, Some(at)) => format!("next {}", text::ago(at, now)),
                (None, None) => "given up".to_owned(),
            };
            let said = text::line(told.said.as_deref().unwrap_or_default());
            vec![told.id.to_string(), told.topic.clone(), told.attempts.to_string(), state, said]
        })
        .collect();
    context.print.table(&["DELIVERY", "TOPIC", "ATTEMPTS", "STATE", "SAID"], &rows)?;
    Ok(())
}
