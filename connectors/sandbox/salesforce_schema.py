"""The simulated org's object types: fields, describe documents, record ids.

A describe has the keys of a recorded org's answer, so that clients which read them keep working.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

API_VERSIONS = {"58.0": "Summer '23", "59.0": "Winter '24", "60.0": "Spring '24"}
_SUFFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def id_18(text: str) -> str:
    """The 18-character form of a 15-character id; anything else unchanged.

    Three check characters say which of the fifteen are capitals, five bits each ("ID Field Type",
    Salesforce Object Reference), so that ids survive case-insensitive systems.
    """
    if len(text) != 15 or not text.isascii() or not text.isalnum():
        return text
    groups = (text[0:5], text[5:10], text[10:15])
    return text + "".join(
        _SUFFIX_ALPHABET[sum(1 << bit for bit, letter in enumerate(group) if letter.isupper())]
        for group in groups
    )


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    # id, string, textarea, phone, email, picklist, double, currency, date, datetime, boolean,
    # reference
    type: str
    length: int = 0
    nillable: bool = True
    writable: bool = True
    reference_to: str = ""  # the parent type of a reference
    relationship: str = ""  # its name in a field path: `Account` of Account.Name
    external_id: bool = False  # unique, and records may be addressed by it
    choices: tuple[str, ...] = ()  # of a picklist, which takes no others

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def required(self) -> bool:
        """A create without it is refused."""
        return self.writable and not self.nillable

    def describe(self) -> dict[str, Any]:
        textual = self.type in _TEXTUAL
        long_text = self.length > 255
        return {
            **_FIELD_DEFAULTS,
            "byteLength": self.length if self.type in {"id", "reference"} else self.length * 3,
            "createable": self.writable,
            "custom": self.custom,
            "defaultValue": False if self.type == "boolean" else None,
            "defaultedOnCreate": not self.writable and not self.nillable,
            "filterable": not long_text,
            "groupable": textual and not long_text,
            "externalId": self.external_id,
            "idLookup": self.external_id or self.type in {"id", "email"},
            "label": self.label,
            "length": self.length,
            "name": self.name,
            "nameField": self.name == "Name",
            "nillable": self.nillable,
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": c, "validFor": None, "value": c}
                for c in self.choices
            ],
            "precision": 18 if self.type in {"double", "currency"} else 0,
            "referenceTo": [self.reference_to] if self.reference_to else [],
            "relationshipName": self.relationship or None,
            "restrictedPicklist": bool(self.choices),
            "scale": 2 if self.type == "currency" else 0,
            "soapType": _SOAP_TYPES.get(self.type, "xsd:string"),
            "sortable": not long_text,
            "type": self.type,
            "unique": self.external_id,
            "updateable": self.writable,
        }


@dataclass(frozen=True)
class SObject:
    name: str
    label: str
    plural: str
    prefix: str  # the first three characters of its ids
    own_fields: tuple[Field, ...]

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Every field by its lower-case name, in the order of a describe."""
        return {field.name.lower(): field for field in (*_FIRST, *self.own_fields, *_AUDIT)}

    def field(self, name: str) -> Field | None:
        return self.fields.get(name.lower())

    def summary(self, version: str) -> dict[str, Any]:
        """Its entry in the list of all objects."""
        root = f"/services/data/v{version}/sobjects/{self.name}"
        return {
            **_OBJECT_DEFAULTS,
            "custom": self.name.endswith("__c"),
            "keyPrefix": self.prefix,
            "label": self.label,
            "labelPlural": self.plural,
            "name": self.name,
            "urls": {
                "sobject": root,
                "describe": f"{root}/describe",
                "rowTemplate": f"{root}/{{ID}}",
            },
        }

    def describe(self, version: str) -> dict[str, Any]:
        return {
            **self.summary(version),
            "actionOverrides": [],
            "childRelationships": [],
            "fields": [field.describe() for field in self.fields.values()],
            "namedLayoutInfos": [],
            "recordTypeInfos": [],
            "supportedScopes": [{"label": f"All {self.plural.lower()}", "name": "everything"}],
        }


_TEXTUAL = frozenset({"string", "textarea", "phone", "email", "picklist", "id", "reference"})
_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "double": "xsd:double",
    "currency": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "boolean": "xsd:boolean",
}
_FALSE_OF_FIELD = [
    "aiPredictionField",
    "autoNumber",
    "calculated",
    "cascadeDelete",
    "caseSensitive",
    "dependentPicklist",
    "deprecatedAndHidden",
    "displayLocationInDecimal",
    "encrypted",
    "formulaTreatNullNumberAsZero",
    "highScaleNumber",
    "htmlFormatted",
    "namePointing",
    "polymorphicForeignKey",
    "queryByDistance",
    "restrictedDelete",
    "searchPrefilterable",
    "writeRequiresMasterRead",
]
_NULL_OF_FIELD = [
    "calculatedFormula",
    "compoundFieldName",
    "controllerName",
    "defaultValueFormula",
    "extraTypeInfo",
    "filteredLookupInfo",
    "inlineHelpText",
    "mask",
    "maskType",
    "referenceTargetField",
    "relationshipOrder",
]
_FIELD_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(_FALSE_OF_FIELD, False),
    **dict.fromkeys(_NULL_OF_FIELD),
    "aggregatable": True,
    "digits": 0,
    "permissionable": True,
}
_TRUE_OF_OBJECT = [
    "createable",
    "deletable",
    "layoutable",
    "queryable",
    "replicateable",
    "retrieveable",
    "searchable",
    "triggerable",
    "undeletable",
    "updateable",
]
_FALSE_OF_OBJECT = [
    "activateable",
    "customSetting",
    "deepCloneable",
    "deprecatedAndHidden",
    "feedEnabled",
    "hasSubtypes",
    "isInterface",
    "isSubtype",
    "mergeable",
    "mruEnabled",
]
_OBJECT_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(_TRUE_OF_OBJECT, True),
    **dict.fromkeys(_FALSE_OF_OBJECT, False),
    "associateEntityType": None,
    "associateParentEntity": None,
}

_FIRST = (
    Field("Id", "Record ID", "id", 18, nillable=False, writable=False),
    Field("IsDeleted", "Deleted", "boolean", nillable=False, writable=False),
)
_AUDIT = (
    Field("CreatedDate", "Created Date", "datetime", nillable=False, writable=False),
    Field("LastModifiedDate", "Last Modified Date", "datetime", nillable=False, writable=False),
    Field("SystemModstamp", "System Modstamp", "datetime", nillable=False, writable=False),
)
_ACCOUNT = (
    Field("Name", "Account Name", "string", 255, nillable=False),
    Field("AccountNumber", "Account Number", "string", 40),
    Field("Phone", "Account Phone", "phone", 40),
    Field("BillingStreet", "Billing Street", "textarea", 255),
    Field("BillingCity", "Billing City", "string", 40),
    Field("BillingPostalCode", "Billing Zip/Postal Code", "string", 20),
    Field("BillingCountry", "Billing Country", "string", 80),
)
_CONTACT = (
    Field(
        "AccountId", "Account ID", "reference", 18, reference_to="Account", relationship="Account"
    ),
    Field("FirstName", "First Name", "string", 40),
    Field("LastName", "Last Name", "string", 80, nillable=False),
    Field("Name", "Full Name", "string", 121, nillable=False, writable=False),
    Field("Email", "Email", "email", 80),
    Field("Phone", "Business Phone", "phone", 40),
)
_REVIEW = (
    Field("Name", "Review Number", "string", 80, nillable=False, writable=False),
    Field("ProductCode__c", "Product Code", "string", 60, nillable=False),
    Field("Rating__c", "Rating", "double", nillable=False),
    Field("Title__c", "Title", "string", 255),
    Field("Body__c", "Body", "textarea", 32768),
    Field("Author__c", "Author", "string", 120),
)
_LOT = (
    Field("Name", "Auction Lot Name", "string", 80, nillable=False, writable=False),
    Field("LotNumber__c", "Lot Number", "string", 40, nillable=False),
    Field("Title__c", "Title", "string", 255),
    Field("ProductSku__c", "Product SKU", "string", 60, nillable=False),
    Field("OpensAt__c", "Opens At", "datetime", nillable=False),
    Field("ClosesAt__c", "Closes At", "datetime", nillable=False),
    Field("CurrencyIsoCode", "Currency", "picklist", 3, nillable=False, choices=("EUR", "USD")),
    Field("StartPrice__c", "Start Price", "currency", nillable=False),
    Field("BidIncrement__c", "Bid Increment", "currency", nillable=False),
    Field("ReservePrice__c", "Reserve Price", "currency"),
    Field("Status__c", "Status", "string", 40, nillable=False),
)
_ORDER = (
    Field(
        "AccountId", "Account ID", "reference", 18, nillable=False, reference_to="Account",
        relationship="Account",
    ),
    Field("EffectiveDate", "Order Start Date", "date", nillable=False),
    Field("Status", "Status", "picklist", 255, nillable=False, choices=("Draft", "Activated")),
    Field("OrderNumber", "Order Number", "string", 30, nillable=False, writable=False),
    Field("CurrencyIsoCode", "Order Currency", "picklist", 3, choices=("EUR", "USD")),
    # The company's own: the copy of an order that the ERP has.
    Field("ErpNumber__c", "ERP Number", "string", 20, external_id=True),
    Field("ErpStatus__c", "ERP Status", "string", 40),
    Field("Total__c", "ERP Total", "currency"),
    Field("Reference__c", "Reference", "string", 80),
    Field("Headwater_Key__c", "Last Write", "string", 80),
)  # fmt: skip
SCHEMA: dict[str, SObject] = {
    "account": SObject("Account", "Account", "Accounts", "001", _ACCOUNT),
    "contact": SObject("Contact", "Contact", "Contacts", "003", _CONTACT),
    "order": SObject("Order", "Order", "Orders", "801", _ORDER),
    "review__c": SObject("Review__c", "Review", "Reviews", "a00", _REVIEW),
    "auction_lot__c": SObject("Auction_Lot__c", "Auction Lot", "Auction Lots", "a01", _LOT),
}
