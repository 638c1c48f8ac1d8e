//! The shipped flush-cache, unchanged, before a real Varnish.

use crate::bot::Home;
use crate::sample_shop::{Running, client};
use crate::try_story::typed;
use crate::varnish::start_varnish;

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_flush_empties_a_real_varnish() {
    let running = Running::start().await;
    let Some(varnish) = start_varnish(running.shop.address()) else {
        return;
    };
    let address = format!("http://{}", varnish.addr);
    let client = client();
    let ask = async |path: &str| {
        let response = client.get(format!("{address}{path}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.headers()["x-cache"].to_str().unwrap().to_owned()
    };
    for (path, cached, reached) in [
        ("/", "MISS", 1),
        ("/sale", "MISS", 2),
        ("/", "HIT", 2),
        ("/sale", "HIT", 2),
    ] {
        assert_eq!(ask(path).await, cached, "{path}");
        assert_eq!(running.shop.requests(), reached, "{path}");
    }

    let home = Home::shipped().setting("VAR_SHOP_PROD_URL", &address);
    let told = tokio::task::block_in_place(|| typed(&home, &["/ops flush-cache prod"]));
    assert_eq!(told.code, Some(0), "{}", told.out);
    let place = |part: &str| {
        let found = told.out.find(part);
        found.unwrap_or_else(|| panic!("no `{part}` in:\n{}", told.out))
    };
    let before = place("✓ 1/3 look done: 200 OK, x-cache: HIT");
    let banned = place(&format!("BAN {address}/ → 200 "));
    let after = place("✓ 3/3 verify done: 200 OK, x-cache: MISS, age: 0");
    assert!(before < banned && banned < after, "{}", told.out);
    // The command's own look did not reach the shop; its verification did.
    assert_eq!(running.shop.requests(), 3, "{}", told.out);
    for (path, cached, reached) in [("/sale", "MISS", 4), ("/", "HIT", 4), ("/sale", "HIT", 4)] {
        assert_eq!(ask(path).await, cached, "{path}");
        assert_eq!(running.shop.requests(), reached, "{path}");
    }

    let sale = tokio::task::block_in_place(|| typed(&home, &["/ops flush-cache prod /sale"]));
    assert_eq!(sale.code, Some(0), "{}", sale.out);
    assert_eq!(running.shop.requests(), 5, "/sale alone was fetched again");
    assert_eq!(ask("/").await, "HIT", "other pages stay");
}
