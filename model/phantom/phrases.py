"""How radiologists dictate the findings of a phantom: many wordings for each, as data.

Slots: `{sev}` a grade or size, `{side}` left/right/bilateral (or `{Side}`, `{abbr}` L/R), `{zone}` a part
of a lung. `{sev}` and `{side}` may be empty: the dictation cleans up the spaces.
"""

from __future__ import annotations

from model.findings.types import Severity

SIZES = {
    Severity.MILD: ("small", "tiny", "small", "trace", "minimal"),
    Severity.MODERATE: ("moderate", "moderate-sized", "moderate"),
    Severity.SEVERE: ("large", "large", "massive"),
}
DEGREES = {
    Severity.MILD: ("mild", "mild", "slight", "minimal"),
    Severity.MODERATE: ("moderate", "moderate"),
    Severity.SEVERE: ("severe", "marked", "severe"),
}
SIZED = frozenset({"pleural_effusion", "pneumothorax"})

ZONES = {
    "upper_zone": ("upper zone", "upper lung zone", "upper lung"),
    "mid_zone": ("mid zone", "mid lung zone", "mid lung"),
    "lower_zone": ("lower zone", "lower lung zone", "lower lung"),
}

PRESENT: dict[str, tuple[str, ...]] = {
    "pleural_effusion": (
        "{sev} {side} pleural effusion.",
        "There is a {sev} {side} pleural effusion.",
        "{side} pleural effusion, {sev}.",
        "{sev} {side} effusion.",
        "A {sev} {side} pleural effusion is present.",
        "A {sev} {side} pleural effusion blunts the costophrenic angle.",
        "{sev} {side} pleural fluid.",
        "Blunting of the costophrenic angle in keeping with a {sev} {side} pleural effusion.",
        "Findings are consistent with a {sev} {side} pleural effusion.",
        "{sev} {side} layering pleural effusion noted.",
    ),
    "pleural_effusion/bilateral": (
        "{sev} bilateral pleural effusions.",
        "There are {sev} bilateral pleural effusions.",
        "Bilateral pleural effusions, {sev}.",
        "{sev} bilateral effusions are noted.",
        "{sev} pleural effusions bilaterally.",
        "{sev} pleural effusions on both sides.",
    ),
    "pneumothorax": (
        "{sev} {side} pneumothorax.",
        "There is a {sev} {side} pneumothorax.",
        "{sev} {side} PTX.",
        "A {sev} {side} pneumothorax is present with a visible pleural line.",
        "{side} pneumothorax, {sev}.",
        "A thin pleural line without lung markings beyond it: {sev} {side} pneumothorax.",
        "{sev} pneumothorax on the {side}.",
        "{sev} {side} ptx noted.",
    ),
    "cardiomegaly": (
        "{sev} cardiomegaly.",
        "There is {sev} cardiomegaly.",
        "{sev} enlargement of the cardiac silhouette.",
        "The heart is {sevly} enlarged.",
        "Cardiac silhouette is {sevly} enlarged.",
        "{sev} cardiac enlargement.",
        "Heart size is {sevly} enlarged.",
        "Cardiomegaly, {sev}.",
    ),
    "consolidation": (
        "Consolidation in the {side} {zone}.",
        "{side} {zone} consolidation.",
        "There is {side} {zone} consolidation with air bronchograms.",
        "Focal consolidation in the {side} {zone}.",
        "Airspace consolidation is seen in the {side} {zone}.",
        "There is confluent consolidation within the {side} {zone}.",
        "{abbr} {zone} consolidation.",
        "A patchy consolidation projects over the {side} {zone}.",
    ),
    "pulmonary_edema": (
        "{sev} pulmonary edema.",
        "There is {sev} pulmonary edema.",
        "{sev} interstitial pulmonary edema with indistinct vessels.",
        "Findings of {sev} pulmonary edema.",
        "Indistinct vessels consistent with {sev} pulmonary edema.",
        "{sev} edema.",
        "Pulmonary edema, {sev}.",
        "{sev} pulmonary oedema.",
    ),
    "atelectasis": (
        "Atelectasis in the {side} {zone}.",
        "{side} {zone} atelectasis.",
        "Linear atelectasis in the {side} {zone}.",
        "Band-like atelectasis is seen in the {side} {zone}.",
        "There is plate-like atelectasis in the {side} {zone}.",
        "Subsegmental atelectasis, {side} {zone}.",
        "{abbr} {zone} atelectasis.",
        "Streaky {side} {zone} atelectasis.",
    ),
    "nodule": (
        "Nodule in the {side} {zone}.",
        "{side} {zone} nodule.",
        "There is a nodule in the {side} {zone}.",
        "A round nodule projects over the {side} {zone}.",
        "Solitary pulmonary nodule in the {side} {zone}.",
        "A well-defined nodule is seen in the {side} {zone}.",
        "{abbr} {zone} pulmonary nodule.",
        "A solitary round nodule is noted in the {side} {zone}.",
    ),
    "mass": (
        "Mass in the {side} {zone}.",
        "{side} {zone} mass.",
        "There is a mass in the {side} {zone}.",
        "A rounded mass projects over the {side} {zone}.",
        "Lung mass in the {side} {zone}.",
        "A lobulated mass is seen in the {side} {zone}.",
        "{abbr} {zone} lung mass.",
        "A mass occupies the {side} {zone}.",
    ),
    "rib_fracture": (
        "{side} rib fracture.",
        "Displaced {side} rib fractures.",
        "There are displaced {side} rib fractures.",
        "{side} posterolateral rib fractures.",
        "Fractures of the {side} ribs.",
        "{abbr} rib fractures with a step-off.",
        "Displaced rib fractures on the {side}.",
        "Rib fractures are noted on the {side}.",
    ),
    "widened_mediastinum": (
        "Widened mediastinum.",
        "The mediastinum is widened.",
        "There is mediastinal widening.",
        "Widening of the mediastinum.",
        "The superior mediastinum is widened.",
        "Mediastinal contour is widened.",
    ),
    "hilar_enlargement": (
        "{side} hilar enlargement.",
        "The {side} hilum is enlarged.",
        "Enlarged {side} hilum.",
        "There is {side} hilar enlargement.",
        "Enlargement of the {side} hilum.",
    ),
    "hilar_enlargement/bilateral": (
        "Bilateral hilar enlargement.",
        "The hila are enlarged bilaterally.",
        "Enlarged hila bilaterally.",
        "There is bilateral hilar enlargement.",
        "Both hila are enlarged.",
    ),
    "elevated_diaphragm": (
        "Elevated {side} hemidiaphragm.",
        "The {side} hemidiaphragm is elevated.",
        "There is elevation of the {side} hemidiaphragm.",
        "Elevation of the {side} hemidiaphragm.",
        "{side} hemidiaphragm elevation.",
    ),
    "endotracheal_tube": (
        "Endotracheal tube in satisfactory position.",
        "ETT in place.",
        "The endotracheal tube terminates above the carina.",
        "ETT tip above the carina.",
        "ET tube in good position.",
        "Patient is intubated with the endotracheal tube in appropriate position.",
        "Endotracheal tube in situ.",
    ),
    "endotracheal_tube/right_main_bronchus": (
        "Malpositioned endotracheal tube in the right main bronchus.",
        "The endotracheal tube is malpositioned with its tip in the right main bronchus.",
        "Malpositioned ETT, tip in the right main bronchus.",
        "Right main bronchus intubation: the endotracheal tube is malpositioned.",
        "Endotracheal tube malpositioned in the right mainstem bronchus.",
    ),
    "central_line": (
        "{side} central venous catheter in place.",
        "{side} central line.",
        "{side} IJ central line in good position.",
        "There is a {side} central venous catheter.",
        "{side} CVC in satisfactory position.",
        "{side} internal jugular central venous catheter in situ.",
    ),
    "pacemaker": (
        "{side} chest wall pacemaker in place.",
        "{side} pacemaker.",
        "{side} sided pacemaker with leads in expected position.",
        "There is a {side} pacemaker with intact leads.",
        "A {side} chest pacemaker is present.",
        "{side} dual-lead pacemaker.",
    ),
}

# Normal statements: the concepts that must all be absent, and the wordings.
NORMAL: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("pleural_effusion", "pneumothorax"),
        (
            "No pleural effusion or pneumothorax.",
            "No pneumothorax or pleural effusion.",
            "There is no pleural effusion or pneumothorax.",
            "No effusion or PTX.",
            "No evidence of pneumothorax or pleural effusion.",
            "Negative for pneumothorax or effusion.",
        ),
    ),
    (("pleural_effusion",), ("No pleural effusion.", "No effusion.", "There is no pleural effusion.")),
    (
        ("pneumothorax",),
        ("No pneumothorax.", "No PTX.", "There is no pneumothorax.", "No evidence of pneumothorax."),
    ),
    (
        ("cardiomegaly",),
        (
            "Heart size is normal.",
            "The heart is normal in size.",
            "Normal heart size.",
            "Cardiac silhouette is within normal limits.",
            "No cardiomegaly.",
            "The cardiac silhouette is normal.",
        ),
    ),
    (
        ("cardiomegaly", "widened_mediastinum"),
        (
            "Cardiomediastinal silhouette is normal.",
            "The cardiomediastinal silhouette is within normal limits.",
            "Normal cardiomediastinal contours.",
        ),
    ),
    (
        ("widened_mediastinum",),
        (
            "The mediastinum is not widened.",
            "No mediastinal widening.",
            "Mediastinal contours are normal.",
            "Mediastinum is normal.",
        ),
    ),
    (
        ("consolidation", "pulmonary_edema", "atelectasis", "nodule", "mass"),
        ("The lungs are clear.", "Lungs clear.", "Clear lungs.", "Both lungs are clear."),
    ),
    (
        ("consolidation", "pulmonary_edema"),
        (
            "No consolidation or edema.",
            "No focal consolidation or pulmonary edema.",
            "There is no consolidation or pulmonary edema.",
        ),
    ),
    (
        ("consolidation",),
        ("No focal consolidation.", "No consolidation.", "There is no focal consolidation."),
    ),
    (("pulmonary_edema",), ("No pulmonary edema.", "No edema.", "There is no pulmonary oedema.")),
    (
        ("nodule", "mass"),
        ("No nodule or mass.", "No suspicious nodule or mass.", "No pulmonary nodules or masses."),
    ),
    (
        ("hilar_enlargement",),
        ("The hila are normal.", "Hila normal.", "No hilar enlargement.", "Hila are unremarkable."),
    ),
    (
        ("elevated_diaphragm",),
        (
            "No hemidiaphragm elevation.",
            "The hemidiaphragms are normal.",
            "The diaphragm is normal.",
            "Diaphragm unremarkable.",
        ),
    ),
    (
        ("rib_fracture",),
        ("No rib fracture.", "No rib fractures.", "No displaced rib fracture.", "No rib fx."),
    ),
)

NORMAL_IMPRESSION = (
    "No acute cardiopulmonary abnormality.",
    "No acute cardiopulmonary process.",
    "No acute cardiopulmonary disease.",
    "Normal chest radiograph.",
    "No acute findings.",
)
TECHNIQUE = {
    True: (
        "PA and lateral views of the chest.",
        "Chest, two views.",
        "Frontal and lateral chest radiographs.",
        "CXR PA/LAT.",
    ),
    False: (
        "Single frontal view of the chest.",
        "Portable AP chest.",
        "Chest, one view.",
        "Frontal chest radiograph.",
    ),
}
