"""The tools: pydantic-ai shows the model their signatures and docstrings."""

from typing import Any

from pydantic_ai import ModelRetry

PRODUCTS: dict[str, dict[str, Any]] = {
    "SKU-0011": {"name": "mug", "cents": 650, "pack": 6},
    "SKU-0012": {"name": "plate", "cents": 900, "pack": 4},
    "SKU-0013": {"name": "bowl", "cents": 800, "pack": 1},
}
CURRENCIES = {"EUR": 1.0, "CHF": 0.95, "GBP": 0.84}


def find_product(name: str) -> dict[str, Any]:
    """Look a product up: its sku, price and pack."""
    for sku, product in PRODUCTS.items():
        if product["name"] in name.lower():
            return {"sku": sku, **product}
    raise ModelRetry(f"there is no product '{name}'")


def make_quote(sku: str, quantity: int, currency: str, discount_percent: int) -> dict[str, Any]:
    """Make a quote."""
    product = PRODUCTS.get(sku, {})
    if not product:
        raise ModelRetry(f"unknown sku '{sku}': find_product gives the sku, such as SKU-0011")
    if currency not in CURRENCIES:
        raise ModelRetry(f"unknown currency '{currency}': give the code, one of {', '.join(CURRENCIES)}")
    if quantity % product["pack"]:
        raise ModelRetry(f"{quantity} is no multiple of the pack of {product['pack']}")
    cents = product["cents"] * quantity * CURRENCIES[currency] * (100 - discount_percent) / 100
    return {"sku": sku, "quantity": quantity, "total": f"{cents / 100:.2f} {currency}"}
