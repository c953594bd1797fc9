"""The coded concepts that every document uses; the findings' own codes live in the vocabulary.

SCT values are to be checked against a licensed SNOMED CT release before clinical use.
Source: PS3.16 CID 240, 244, 3716, 6042, 7000-7002, 7021; TID 1001, 1204, 1500, 1501, 2000, 4019.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom.sr.coding import Code

from model.findings.types import Change, Laterality, Presence, Severity

PRIVATE_SCHEME: Final = "99ECHO"  # our own designator, for what no public scheme names

# Document titles and sections
IMAGING_MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
DIAGNOSTIC_IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
SUMMARY_SECTION: Final = Code("55112-7", "LN", "Summary")
FINDINGS_SECTION: Final = Code("59776-5", "LN", "Findings")
PRIOR_PROCEDURES_SECTION: Final = Code("55114-3", "LN", "Prior Procedure Descriptions")
PREVIOUS_FINDINGS_SECTION: Final = Code("18834-2", "LN", "Previous Findings")
IMPRESSIONS_SECTION: Final = Code("19005-8", "LN", "Impressions")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")

# Observation context
LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
COUNTRY: Final = Code("121046", "DCM", "Country of Language")
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
RADIOGRAPHY: Final = Code("43468-8", "LN", "XR unspecified body region")
CHEST_RADIOGRAPHY: Final = Code("30745-4", "LN", "XR Chest Views")
OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
PERSON: Final = Code("121006", "DCM", "Person")
DEVICE: Final = Code("121007", "DCM", "Device")
PERSON_OBSERVER_NAME: Final = Code("121008", "DCM", "Person Observer Name")
DEVICE_OBSERVER_UID: Final = Code("121012", "DCM", "Device Observer UID")
DEVICE_OBSERVER_NAME: Final = Code("121013", "DCM", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER: Final = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL: Final = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_OBSERVER_SERIAL: Final = Code("121016", "DCM", "Device Observer Serial Number")

# Rejection notes (CID 7011)
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
REJECTED_FOR_QUALITY: Final = Code("113001", "DCM", "Rejected for Quality Reasons")
REJECTED_FOR_SAFETY: Final = Code("113037", "DCM", "Rejected for Patient Safety Reasons")

# Contributing equipment (CID 7005); IHE AIR's Processing Algorithm has no code of its own in DICOM yet
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")

# Algorithm identification (TID 4019)
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION: Final = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_MANUFACTURER: Final = Code("122405", "DCM", "Algorithm Manufacturer")
ALGORITHM_PARAMETERS: Final = Code("111002", "DCM", "Algorithm Parameters")

# Narrative and group content
FINDING: Final = Code("121071", "DCM", "Finding")
PROCEDURE_DESCRIPTION: Final = Code("121065", "DCM", "Procedure Description")
PREVIOUS_FINDING: Final = Code("121069", "DCM", "Previous Finding")
IMPRESSION: Final = Code("121073", "DCM", "Impression")
COMMENT: Final = Code("121106", "DCM", "Comment")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
TOPOGRAPHICAL_MODIFIER: Final = Code("106233006", "SCT", "Topographical modifier")
SEVERITY: Final = Code("246112005", "SCT", "Severity")
DESCRIPTION_OF_CHANGE: Final = Code("111021", "DCM", "Description of Change")
CERTAINTY_OF_FINDING: Final = Code("111012", "DCM", "Certainty of Finding")
# The region assessed for a group: the whole image, since no location in it is claimed.
ASSESSED_CORNERS: Final = Code("assessed_corners", PRIVATE_SCHEME, "Corners of the assessed region")
REGION_SOURCE: Final = Code("121324", "DCM", "Source Image")
SOURCE_IMAGE: Final = Code("260753009", "SCT", "Source")
SOURCE_OF_MEASUREMENT: Final = Code("121112", "DCM", "Source of Measurement")
PERCENT: Final = Code("%", "UCUM", "Percent")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")

# Image library descriptors
MODALITY: Final = Code("121139", "DCM", "Modality")
PIXEL_DATA_ROWS: Final = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS: Final = Code("110911", "DCM", "Pixel Data Columns")
IMAGE_VIEW: Final = Code("111031", "DCM", "Image View")
MODALITIES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "CR": Code("CR", "DCM", "Computed Radiography"),
        "DX": Code("DX", "DCM", "Digital Radiography"),
        "RG": Code("RG", "DCM", "Radiographic imaging"),
        "RF": Code("RF", "DCM", "Radiofluoroscopy"),
        "XA": Code("XA", "DCM", "X-Ray Angiography"),
        "CT": Code("CT", "DCM", "Computed Tomography"),
        "SC": Code("SC", "DCM", "Secondary Capture"),
    }
)
VIEWS: Final[Mapping[str, Code]] = MappingProxyType(  # by View Position (0018,5101); CID 4010
    {
        "PA": Code("272479007", "SCT", "postero-anterior"),
        "AP": Code("399348003", "SCT", "antero-posterior"),
        "LL": Code("399173006", "SCT", "left lateral"),
        "RL": Code("399198007", "SCT", "right lateral"),
        "LATERAL": Code("399067008", "SCT", "lateral"),
    }
)
OTHER_MODALITY: Final = Code("OT", "DCM", "Other Modality")

# Outcome of the analysis
SUMMARY_OF_ANALYSES: Final = Code("111065", "DCM", "Summary of Analyses")
SUCCEEDED: Final = Code("111222", "DCM", "Succeeded")
FAILED: Final = Code("111224", "DCM", "Failed")
NOT_ATTEMPTED: Final = Code("111225", "DCM", "Not Attempted")
OVERALL_ASSESSMENT: Final = Code("111413", "DCM", "Overall Assessment")
NORMAL: Final = Code("17621005", "SCT", "Normal")
ABNORMAL: Final = Code("263654008", "SCT", "Abnormal")
UNDETERMINED: Final = Code("371934000", "SCT", "Undetermined")

PRESENCE: Final[Mapping[Presence, Code]] = MappingProxyType(
    {
        Presence.PRESENT: Code("52101004", "SCT", "Present"),
        Presence.ABSENT: Code("272519000", "SCT", "Absent"),
        Presence.INDETERMINATE: Code("373068000", "SCT", "Undetermined"),
    }
)
# Codes of other products for the same answers; written to Equivalent Code Sequence, and read back.
EQUIVALENT_PRESENCE: Final[Mapping[Presence, Code]] = MappingProxyType(
    {
        Presence.ABSENT: Code("2667000", "SCT", "Absent"),
        Presence.INDETERMINATE: Code("82334004", "SCT", "Indeterminate"),
    }
)
SIDE: Final[Mapping[Laterality, Code]] = MappingProxyType(
    {
        Laterality.LEFT: Code("7771000", "SCT", "Left"),
        Laterality.RIGHT: Code("24028007", "SCT", "Right"),
        Laterality.BILATERAL: Code("51440002", "SCT", "Bilateral"),
    }
)
GRADE: Final[Mapping[Severity, Code]] = MappingProxyType(
    {
        Severity.MILD: Code("255604002", "SCT", "Mild"),
        Severity.MODERATE: Code("6736007", "SCT", "Moderate"),
        Severity.SEVERE: Code("24484000", "SCT", "Severe"),
    }
)
CHANGE: Final[Mapping[Change, Code]] = MappingProxyType(
    {
        Change.NEW: Code("7147002", "SCT", "New"),
        Change.INCREASED: Code("35105006", "SCT", "Increased"),
        Change.DECREASED: Code("1250004", "SCT", "Decreased"),
        Change.UNCHANGED: Code("260388006", "SCT", "No status change"),
        Change.RESOLVED: Code("723506003", "SCT", "Resolved"),
    }
)
SITE: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "lung": Code("39607008", "SCT", "Lung"),
        "heart": Code("80891009", "SCT", "Heart"),
        "mediastinum": Code("72410000", "SCT", "Mediastinum"),
        "pleura": Code("3120008", "SCT", "Pleura"),
        "chest": Code("51185008", "SCT", "Chest"),
    }
)
