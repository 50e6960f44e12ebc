"""The columns of a FOCUS 1.2 file as we write it: type, whether it may be null, which values it may have. Pure.

Source: FinOps Open Cost and Usage Specification 1.2, "Cost and usage dataset". Every mandatory column is here, and
the conditional ones whose condition a metered model API meets; columns of our own begin with ``x_``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.reporting.columns import Kind, numbered

VERSION = "1.2"

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
SERVICE_CATEGORY = "AI and Machine Learning"
SERVICE_SUBCATEGORY = "Generative AI"


class FocusColumn(msgspec.Struct, frozen=True):
    """One column. *values* are those the specification allows, where it lists them."""

    name: str
    kind: Kind
    mandatory: bool
    nullable: bool
    values: tuple[str, ...] = ()


COLUMNS = (
    FocusColumn("BilledCost", "decimal", mandatory=True, nullable=False),
    FocusColumn("BillingAccountId", "text", mandatory=True, nullable=False),
    FocusColumn("BillingAccountName", "text", mandatory=True, nullable=True),
    FocusColumn("BillingAccountType", "text", mandatory=False, nullable=True),
    FocusColumn("BillingCurrency", "text", mandatory=True, nullable=False, values=("USD",)),
    FocusColumn("BillingPeriodEnd", "text", mandatory=True, nullable=False),
    FocusColumn("BillingPeriodStart", "text", mandatory=True, nullable=False),
    FocusColumn("ChargeCategory", "text", mandatory=True, nullable=False, values=CHARGE_CATEGORIES),
    FocusColumn("ChargeClass", "text", mandatory=True, nullable=True, values=("Correction",)),
    FocusColumn("ChargeDescription", "text", mandatory=True, nullable=True),
    FocusColumn("ChargeFrequency", "text", mandatory=False, nullable=False, values=("Usage-Based",)),
    FocusColumn("ChargePeriodEnd", "text", mandatory=True, nullable=False),
    FocusColumn("ChargePeriodStart", "text", mandatory=True, nullable=False),
    FocusColumn("ConsumedQuantity", "decimal", mandatory=False, nullable=True),
    FocusColumn("ConsumedUnit", "text", mandatory=False, nullable=True),
    FocusColumn("ContractedCost", "decimal", mandatory=True, nullable=False),
    FocusColumn("ContractedUnitPrice", "decimal", mandatory=False, nullable=True),
    FocusColumn("EffectiveCost", "decimal", mandatory=True, nullable=False),
    FocusColumn("InvoiceIssuerName", "text", mandatory=True, nullable=False),
    FocusColumn("ListCost", "decimal", mandatory=True, nullable=False),
    FocusColumn("ListUnitPrice", "decimal", mandatory=False, nullable=True),
    FocusColumn("PricingCategory", "text", mandatory=False, nullable=True, values=("Standard",)),
    FocusColumn("PricingQuantity", "decimal", mandatory=True, nullable=True),
    FocusColumn("PricingUnit", "text", mandatory=True, nullable=True),
    FocusColumn("ProviderName", "text", mandatory=True, nullable=False),
    FocusColumn("PublisherName", "text", mandatory=True, nullable=False),
    FocusColumn("ServiceCategory", "text", mandatory=True, nullable=False, values=(SERVICE_CATEGORY,)),
    FocusColumn("ServiceName", "text", mandatory=True, nullable=False),
    FocusColumn("ServiceSubcategory", "text", mandatory=False, nullable=False, values=(SERVICE_SUBCATEGORY,)),
    FocusColumn("SkuId", "text", mandatory=False, nullable=True),
    FocusColumn("SkuMeter", "text", mandatory=False, nullable=True),
    FocusColumn("SkuPriceDetails", "json", mandatory=False, nullable=True),
    FocusColumn("SkuPriceId", "text", mandatory=False, nullable=True),
    FocusColumn("SubAccountId", "text", mandatory=False, nullable=True),
    FocusColumn("SubAccountName", "text", mandatory=False, nullable=True),
    FocusColumn("SubAccountType", "text", mandatory=False, nullable=True),
    FocusColumn("Tags", "json", mandatory=False, nullable=True),
    FocusColumn("x_Model", "text", mandatory=False, nullable=True),
    FocusColumn("x_Project", "text", mandatory=False, nullable=True),
    FocusColumn("x_ServiceTier", "text", mandatory=False, nullable=True),
    FocusColumn("x_Upstream", "text", mandatory=False, nullable=False),
)
FILE_COLUMNS = numbered((column.name, column.kind) for column in COLUMNS)


def problems(row: Mapping[str, Any]) -> list[str]:
    """What the specification would object to in *row*."""
    found = [
        f"{column.name} is null" for column in COLUMNS if not column.nullable and row.get(column.name) is None
    ]
    found += [
        f"{column.name} is {row[column.name]!r}"
        for column in COLUMNS
        if column.values and row.get(column.name) not in (None, *column.values)
    ]
    found += [f"{name} is no column" for name in row if name not in _NAMES]
    if row.get("ChargeCategory") == "Usage" and row.get("ChargeClass") is None:
        found += [f"{name} is null" for name in ("PricingQuantity", "PricingUnit") if row.get(name) is None]
    for quantity, unit in (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit")):
        if (row.get(quantity) is None) != (row.get(unit) is None):
            found.append(f"{quantity} and {unit} are null together or not at all")
    if row.get("SubAccountId") is None and row.get("SubAccountName") is not None:
        found.append("SubAccountName has no SubAccountId")
    if row.get("SkuId") is None and any(row.get(name) is not None for name in ("SkuPriceId", "SkuMeter")):
        found.append("SkuPriceId or SkuMeter has no SkuId")
    return found


_NAMES = frozenset(column.name for column in COLUMNS)
