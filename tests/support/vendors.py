"""Studies as sent by forty "vendors": the header habits of devices and sites, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from agent.objects.header import Code, Header

CHEST, OTHER = "chest", "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How one vendor labels chest films, and films of other regions; each entry has the fields of one
    image.
    """

    name: str
    chest: tuple[Mapping[str, object], ...]
    other: tuple[Mapping[str, object], ...]


def said(
    body: str = "", series: str = "", study: str = "", code: str = "", **more: object
) -> Mapping[str, object]:
    """The fields of one image."""
    value, _, scheme = code.partition("^")
    codes = (Code(value=value, scheme=scheme, meaning=""),) if value else ()
    return {
        "body_part_examined": body,
        "series_description": series,
        "study_description": study,
        "anatomic_regions": codes,
    } | more


def _vendor(name: str, chest: tuple[object, ...], other: tuple[object, ...]) -> Habit:
    """One vendor; a plain text stands for a body part, `s:` for a series' and `t:` for a study's words."""
    return Habit(name=name, chest=tuple(map(_fields, chest)), other=tuple(map(_fields, other)))


def _fields(entry: object) -> Mapping[str, object]:
    if isinstance(entry, Mapping):
        return entry
    text = str(entry)
    if text.startswith("s:"):
        return said(series=text[2:])
    return said(study=text[2:]) if text.startswith("t:") else said(text)


HABITS = (
    _vendor("defined terms", ("CHEST",), ("HAND", "KNEE", "ABDOMEN", "SKULL")),
    _vendor("body part with view", ("CHEST_PA", "CHEST_LAT", "CHEST AP"), ("KNEE_AP", "HIP_LAT")),
    _vendor("portable in the body part", ("PORT CHEST", "CHEST PORTABLE", "CHEST 1V PORT"), ("PORT PELVIS",)),
    _vendor("UNKNOWN and series", (said("UNKNOWN", "Chest PA"),), (said("UNKNOWN", "Foot AP"),)),
    _vendor("default body part chest", (said("CHEST", "Chest PA"),), (said("CHEST", "Knee AP"),)),
    _vendor(
        "order names several",
        (said("", "Chest PA", "XR CHEST AND KNEE"),),
        (said("", "Knee lat", "XR CHEST AND KNEE"),),
    ),
    _vendor("study only", ("t:XR CHEST 2 VIEWS", "t:CXR"), ("t:XR ANKLE", "t:XR C-SPINE")),
    _vendor(
        "SCT",
        (said(code="816094009^SCT"), said(code="51185008^SCT")),
        (said(code="72696002^SCT"), said(code="818981001^SCT")),
    ),
    _vendor("SRT", (said(code="T-D3000^SRT"),), (said(code="T-D4000^SRT"),)),
    _vendor(
        "code beside OTHER", (said("OTHER", code="816094009^SCT"),), (said("OTHER", code="122495006^SCT"),)
    ),
    _vendor(
        "German",
        ("BRUST", "THORAX", "s:Thoraxaufnahme p.a.", "s:Lunge seitl."),
        ("HANDGELENK", "s:BWS seitl.", "s:Schulter", "s:Abdomenübersicht"),
    ),
    _vendor(
        "German compounds",
        ("s:Röntgenthorax", "s:Thoraxübersicht"),
        ("s:Kniegelenk links", "s:Beckenübersicht"),
    ),
    _vendor(
        "French", ("POITRINE", "s:Thorax face", "t:Radiographie pulmonaire"), ("GENOU", "s:Rachis dorsal")
    ),
    _vendor(
        "Spanish", ("TÓRAX", "PECHO", "s:Rx torax PA"), ("RODILLA", "s:Columna dorsal", "s:Parrilla costal")
    ),
    _vendor("Portuguese", ("TORAX", "s:RX tórax PA e perfil"), ("JOELHO", "s:Coluna torácica")),
    _vendor(
        "Italian", ("TORACE", "s:RX torace 2 proiezioni"), ("GINOCCHIO", "s:Rachide dorsale", "s:Addome")
    ),
    _vendor("Dutch", ("BORSTKAS", "s:X-thorax"), ("s:X-bekken", "s:Thoracale wervelkolom")),
    _vendor("Danish", ("s:Røntgen af thorax", "BRYSTKASSE"), ("s:Håndled", "s:Columna thoracalis")),
    _vendor("Swedish", ("s:Lungröntgen", "s:Hjärta och lungor"), ("s:Bröstrygg", "s:Knäled höger")),
    _vendor(
        "Norwegian", ("s:Rtg thorax front og side", "s:Cor et pulm"), ("s:Venstre skulder", "s:Hofteledd")
    ),
    _vendor("Finnish", ("s:Keuhkokuva", "s:Thorax-rtg"), ("s:Polven röntgen", "s:Rintaranka")),
    _vendor(
        "Polish",
        ("s:RTG klatki piersiowej PA", "KLATKA PIERSIOWA"),
        ("s:RTG kolana", "s:Kręgosłup piersiowy"),
    ),
    _vendor("Czech", ("s:Hrudník zadopřední", "s:Srdce a plíce"), ("s:Hrudní páteř", "s:Koleno")),
    _vendor("Hungarian", ("MELLKAS", "s:Mellkasfelvétel"), ("s:Térd", "s:Háti gerinc")),
    _vendor("Turkish", ("s:PAAC grafisi", "AKCİĞER"), ("s:Diz grafisi", "s:Torakal vertebra")),
    _vendor("Greek", ("ΘΩΡΑΚΑΣ", "s:Ακτινογραφία θώρακος"), ("s:ΘΜΣΣ", "s:Ακτινογραφία γόνατος")),
    _vendor(
        "Russian", ("ГРУДНАЯ КЛЕТКА", "s:ОГК прямая"), ("s:Коленный сустав", "s:Грудной отдел позвоночника")
    ),
    _vendor("Ukrainian", ("s:Органи грудної клітки",), ("s:Колінний суглоб",)),
    _vendor("Chinese", ("胸部", "s:胸部正侧位", "s:床边胸片"), ("s:胸椎正侧位", "s:腹部立位", "s:膝关节")),
    _vendor("Taiwanese", ("s:胸部後前位",), ("s:頸椎", "s:膝關節")),
    _vendor("Japanese", ("胸部", "s:胸部 正面", "s:胸部単純"), ("s:腰椎", "s:肋骨", "s:腹部")),
    _vendor("Korean", ("흉부", "s:흉부 정면"), ("s:흉추", "s:무릎")),
    _vendor("Vietnamese", ("s:XQ ngực thẳng", "s:Tim phổi thẳng"), ("s:XQ khớp gối", "s:Cột sống ngực")),
    _vendor("Indonesian", ("s:Foto toraks PA", "DADA"), ("s:Foto genu", "s:Vertebra thorakal")),
    _vendor("Arabic", ("الصدر", "s:أشعة الصدر"), ("s:أشعة الركبة", "s:البطن")),
    _vendor("Hebrew", ("s:צילום חזה",), ("s:צילום ברך", "s:עמוד שדרה גבי")),
    _vendor(
        "protocol name only", (said(protocol_name="Chest PA wall stand"),), (said(protocol_name="Pelvis AP"),)
    ),
    _vendor("several values", (said("LUNG\\CHEST"),), (said("CHEST\\ABDOMEN"), said("CHEST\\PELVIS"))),
    _vendor("run together", ("CHESTPA", "CHEST2V", "THORAXAP"), ("CHESTABDOMEN", "TSPINE", "HANDAP")),
    _vendor(
        "question in the order",
        (said("", "AP", "Chest tube placement, CHEST"),),
        (said("", "Abdomen AP", "XR abdomen to exclude lung base pathology"),),
    ),
)


def studies(seed: int, count: int) -> Iterator[tuple[str, str, Header]]:
    """Yield (vendor, kind, header) of this many studies; two thirds are of the chest."""
    chance = Random(seed)
    for number in range(count):
        habit = HABITS[number % len(HABITS)]
        kind = CHEST if chance.random() < 0.66 else OTHER
        fields = dict(chance.choice(habit.chest if kind == CHEST else habit.other))
        body = str(fields["body_part_examined"])
        if chance.random() < 0.3:
            fields["body_part_examined"] = chance.choice((body.lower(), body.title(), f" {body} "))
        if chance.random() < 0.2:
            fields["study_instance_uid"] = f"1.2.{number}.1"
        yield (
            habit.name,
            kind,
            Header(
                **(
                    {
                        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
                        "sop_instance_uid": f"1.2.{number}.9",
                        "study_instance_uid": f"1.2.{number}",
                        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                        "modality": chance.choice(("CR", "DX")),
                    }
                    | fields
                )  # type: ignore[arg-type]
            ),
        )
