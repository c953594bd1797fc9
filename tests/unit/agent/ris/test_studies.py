"""Orders and patients of the RIS, and their effect on studies."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from agent.database.audit.web_actor import Actor
from agent.database.orders import Order
from agent.database.session import database_now
from agent.database.tables import Document, Draft, Job, ListingTag, Study
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.messages.hl7.parse import parse
from agent.receive.complete_study import complete_due_studies
from agent.reports.edited_report import Report
from agent.reports.material import digest_of
from agent.reports.sign_off import Observer, SignOffDecision, give
from agent.reports.withdraw import withdraw_due
from agent.ris.inbox import Inbox
from tests.support.course import StudyCourse
from tests.support.hl7_messages import change, hl7, merge, msh, order, pid, segment
from tests.support.house import FakeReporter, House, image

PACS = DestinationSettings(name="pacs", host="127.0.0.1", port=4242)
RIS = DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=2575)
SETTINGS = Settings(destinations=(PACS, RIS))
PATIENT: dict[str, object] = {"PatientID": "PA", "PatientName": "Alpha^A", "AccessionNumber": "A1"}


def deliver(site: Site) -> list[tuple[str, str, str]]:
    """Send what is due; return destination, role and patient of each document, in that order."""
    course = StudyCourse(site.house, SETTINGS)
    sent = [(name, claim) for name in ("pacs", "ris") for claim in course.deliver(name)]
    with site.house.database.reading() as session:
        rows = {row.id: row for row in session.scalars(select(Document))}
        return sorted((name, rows[one.document_id].role, patient_in(one.content)) for name, one in sent)


def patient_in(content: bytes) -> str:
    """The Patient ID that a document or a message names."""
    if content.startswith(b"MSH"):
        return next(parse(content).all("PID")).text(3).split("^")[0]
    return str(dcmread(io.BytesIO(content)).PatientID)


class Site:
    """A hospital: a RIS that sends messages, a modality that sends images, a worker that drafts."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reporter = FakeReporter()
        self.inbox = Inbox(house.database, SETTINGS.hl7)

    def tell(self, message: bytes) -> str:
        """Send a message; return MSA-1."""
        (answer,) = self.inbox.take(message, "127.0.0.1")
        return next(parse(answer).all("MSA")).text(1)

    def send(self, number: int = 1, **attributes: object) -> None:
        """Receive an image and complete its study."""
        self.house.receive(image(1, number, **(PATIENT | attributes)))
        self.complete()

    def complete(self) -> None:
        """End the quiet time."""
        with self.house.database.transaction() as session:
            session.execute(update(Job).values(due_at=database_now(session) - timedelta(seconds=1)))
        complete_due_studies(self.house.database, SETTINGS, self.house.store)

    def work(self) -> None:
        """Draft the queued jobs."""
        with self.house.database.transaction() as session:
            session.execute(update(Job).values(run_after=Job.created_at))
        DraftingWorker(self.house.database, self.house.store, SETTINGS, self.reporter).run_once()

    def verify(self) -> None:
        """Verify the shown draft as a radiologist."""
        with self.house.database.reading() as session:
            draft_id = session.scalars(select(Draft.id).order_by(Draft.id.desc()).limit(1)).one()
            study = session.scalars(select(Study)).one()
        report = Report(findings=("No pneumothorax.",), impression=("Normal.",))
        decision = SignOffDecision(
            study_id=study.id, draft_id=draft_id, revision=study.revision, report=report
        )
        observer = Observer(person_name="R^R", user_id=None, actor=Actor(name="r", address=""))
        give(self.house.database, self.house.store, SETTINGS, decision, observer)

    def all(self, column: Any) -> list[Any]:
        """All values of a column, in order."""
        with self.house.database.reading() as session:
            return list(session.scalars(select(column)))

    def documents(self) -> list[tuple[int, str, str, str]]:
        """Return revision, role and named patient of each document."""
        with self.house.database.reading() as session:
            rows = session.execute(
                select(Draft.revision, Document)
                .join(Draft, Draft.id == Document.draft_id)
                .order_by(Document.id)
            ).all()
        return [(revision, row.role, *_patient(row)) for revision, row in rows]

    def questions(self) -> list[str]:
        """The digest of the clinical question that each draft was given."""
        return [one["question_sha256"] for one in self.all(Draft.content)]


def _patient(row: Document) -> tuple[str, str]:
    if row.role == "message":
        told = next(parse(row.content).all("PID"))
        return told.text(3, 1), f"{told.text(5, 1)}^{told.text(5, 2)}"
    document: Dataset = dcmread(io.BytesIO(row.content))
    return str(document.PatientID), str(document.PatientName)


@pytest.fixture
def site(house: House) -> Site:
    """A hospital."""
    return Site(house)


def test_order_gives_the_draft_its_question_and_the_job_its_priority(site: Site) -> None:
    """The RIS's question that came before the images is the context of the draft."""
    assert site.tell(order(question="Rib fracture?", priority="S")) == "AA"
    site.send()
    site.work()
    assert (site.questions(), site.all(Job.priority)) == ([digest_of("Rib fracture?")], [0])


def test_later_message_without_a_priority_leaves_the_one_before(site: Site) -> None:
    """A change of status repeats only the numbers; a message that states routine counts."""
    site.tell(order("O1", priority="S"))
    request = segment("OBR", {2: "P-A1", 18: "A1"})
    status = hl7(msh("ORM^O01", "O2"), pid("PA"), "ORC|SC|P-A1||||IP", request)
    assert site.tell(status) == "AA"
    assert site.all(Order.priority) == [0]
    site.tell(order("O3", priority="R"))
    assert site.all(Order.priority) == [50]


def test_order_after_the_draft_makes_a_revision_if_it_asks_something_else(site: Site) -> None:
    """A new question makes the draft again, once."""
    site.send()
    site.work()
    site.tell(order("O1", question="Rib fracture?"))
    site.tell(order("O2", question="Rib fracture?"))
    site.complete()
    site.work()
    site.tell(order("O3", question="Rib   fracture?", priority="S"))
    site.complete()
    site.work()
    assert site.questions() == ["", digest_of("Rib fracture?")]
    assert site.all(Draft.revision) == [1, 2]


def test_order_that_says_what_the_images_say_makes_no_revision(site: Site) -> None:
    """The images had the same question from the modality's worklist."""
    site.send(ReasonForStudy="Rib fracture?")
    site.work()
    site.tell(order(question="Rib fracture?"))
    assert site.all(Job.revision) == [1]


def test_order_of_another_patient_is_not_believed(site: Site) -> None:
    """An accession number that two hospitals use does not mix up their patients."""
    site.tell(order(patient="PZ", question="Somebody else's question?"))
    site.send(ReasonForStudy="Ours")
    site.work()
    assert site.questions() == [digest_of("Ours")]


def test_order_does_not_touch_a_verified_report(site: Site) -> None:
    """A report that a radiologist has verified is not drafted again."""
    site.send()
    site.work()
    site.verify()
    site.tell(order(question="Too late?"))
    assert site.all(Draft.outcome) == ["drafted", "verified"]
    assert sorted(site.all(Job.kind)) == ["draft", "verdict"]


def test_canceled_order_is_no_context(site: Site) -> None:
    """A cancelled order asks no question any more."""
    site.tell(order("O1", question="Rib fracture?"))
    site.tell(order("O2", question="Rib fracture?", control="CA"))
    site.send(ReasonForStudy="Cough")
    site.work()
    assert site.questions() == [digest_of("Cough")]


def test_merge_before_the_images_names_the_surviving_patient(site: Site) -> None:
    """Images under the old identifier make documents under the present one, and so do messages to the RIS."""
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.send()
    site.work()
    assert site.documents() == [
        (1, "findings", "PB", "Beta^B"),
        (1, "report", "PB", "Beta^B"),
        (1, "message", "PB", "Beta^B"),
    ]


def test_merge_between_images_of_one_study_is_no_conflict(site: Site) -> None:
    """Two identifiers of one patient in one study are not two patients."""
    site.send(1)
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.send(2, PatientID="PB", PatientName="Beta^B")
    site.work()
    assert {one[2] for one in site.documents()} == {"PB"}
    assert site.all(Study.conflict) == [None]


@pytest.mark.parametrize("turned", [False, True])
def test_merge_ends_the_conflict_of_a_stopped_study(site: Site, *, turned: bool) -> None:
    """The study was FAILED before the RIS merged the two patients; no manual retry is needed."""
    images: list[dict[str, object]] = [{}, {"PatientID": "PB", "PatientName": "Beta^B"}]
    for number, attributes in enumerate(images[::-1] if turned else images, 1):
        site.house.receive(image(1, number, **(PATIENT | attributes)))
    site.complete()
    assert (site.all(Job.state), site.all(Study.conflict)) == (["FAILED"], ["patient-conflict"])
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.complete()
    site.work()
    assert (sorted(site.all(Job.state)), site.all(Study.conflict)) == (["DRAFTED", "FAILED"], [None])
    assert {one[2] for one in site.documents() if one[0] == 2} == {"PB"}


def test_change_of_a_patient_judges_a_conflict_again_once(site: Site) -> None:
    """Of two birth dates of one identifier the RIS says which is right; a repetition makes no work."""
    for number, born in enumerate(("19500102", "19500201"), 1):
        site.house.receive(image(1, number, **PATIENT, PatientBirthDate=born))
    site.complete()
    assert site.all(Job.state) == ["FAILED"]
    site.tell(change("C1", "PA", "Alpha^A", "19500102"))
    site.complete()
    assert (sorted(site.all(Job.state)), site.all(Study.conflict)) == (["FAILED", "QUEUED"], [None])
    site.tell(change("C2", "PA", "Alpha^A", "19500102"))
    assert len(site.all(Job.id)) == 2


def test_merge_during_drafting_writes_nothing_under_the_old_patient(site: Site) -> None:
    """The draft in progress is made again under the present identifier."""
    site.send()
    site.reporter.before = lambda _study: site.tell(merge("M1", "PB", "PA", "Beta^B")) and None
    site.work()
    assert site.documents() == []
    site.work()
    assert {one[2:] for one in site.documents()} == {("PB", "Beta^B")}


def test_merge_after_the_draft_flags_it_and_makes_it_again(site: Site) -> None:
    """The unverified draft is flagged until the new one is there."""
    site.send()
    site.work()
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    assert "flag:patient_merged" in site.all(ListingTag.tag)
    assert site.all(Study.patient_id) == ["PB"]
    site.complete()
    site.work()
    withdraw_due(site.house.database, SETTINGS)
    assert {(revision, *patient) for revision, _role, *patient in site.documents()} == {
        (1, "PA", "Alpha^A"),
        (2, "PB", "Beta^B"),
    }
    assert "flag:patient_merged" not in site.all(ListingTag.tag)


def test_merge_withdraws_the_delivered_draft_once_the_new_one_is_there(site: Site) -> None:
    """The PACS gets the withdrawal under the old identifier; the RIS, knowing the merge, the next result."""
    site.send()
    site.work()
    deliver(site)
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    withdraw_due(site.house.database, SETTINGS)
    assert site.all(Draft.withdrawal) == [None]
    site.complete()
    site.work()
    withdraw_due(site.house.database, SETTINGS)
    assert deliver(site) == [
        ("pacs", "findings", "PB"),
        ("pacs", "report", "PB"),
        ("pacs", "withdrawn-a", "PA"),
        ("pacs", "withdrawn-b", "PA"),
        ("ris", "message", "PB"),
    ]
    assert sorted(map(str, site.all(Draft.withdrawal))) == ["None", "done"]
    assert "flag:withdrawn" not in site.all(ListingTag.tag)


def test_merge_stops_what_was_not_sent_under_the_old_identifier(site: Site) -> None:
    """A draft that has not been sent yet is replaced, and needs no withdrawal."""
    site.send()
    site.work()
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.complete()
    site.work()
    withdraw_due(site.house.database, SETTINGS)
    assert {patient for _destination, _role, patient in deliver(site)} == {"PB"}


def test_change_of_a_name_withdraws_nothing(site: Site) -> None:
    """A later draft under the same identifier names its predecessor."""
    site.send()
    site.work()
    deliver(site)
    site.tell(change("C1", "PA", "Married^A"))
    site.send(2)
    site.work()
    withdraw_due(site.house.database, SETTINGS)
    assert {role for _destination, role, _patient in deliver(site)} == {"findings", "report", "message"}
    assert site.all(Draft.withdrawal) == [None, None]


def test_merge_leaves_a_verified_report_and_names_the_next_one_anew(site: Site) -> None:
    """The signed report keeps the identity that it was signed with; a later draft has the present one."""
    site.send()
    site.work()
    site.verify()
    before = site.all(Document.sha256)
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.complete()
    site.work()
    withdraw_due(site.house.database, SETTINGS)
    assert site.all(Document.sha256) == before
    assert site.all(Draft.withdrawal) == [None, None]
    site.send(2)
    site.work()
    assert site.documents()[-1][2] == "PB"


def test_changed_name_is_on_every_later_document(site: Site) -> None:
    """After ADT^A08 the earlier draft stands, and the verdict has the new name."""
    site.send()
    site.work()
    site.tell(change("C1", "PA", "Married^A"))
    assert site.all(Job.revision) == [1]
    site.verify()
    assert {(one[0], one[3]) for one in site.documents()} == {(1, "Alpha^A"), (2, "Married^A")}


def test_merge_chain_and_circle_end(site: Site) -> None:
    """PA into PB into PC; a circle, which only a faulty sender would make, ends too."""
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.tell(merge("M2", "PC", "PB", "Gamma^C"))
    site.send()
    site.work()
    assert {one[2] for one in site.documents()} == {"PC"}
    site.tell(merge("M3", "PA", "PC", "Alpha^A"))
    assert site.tell(order("O9", patient="PA")) == "AA"


@pytest.mark.parametrize("event", ["A43", "A44", "A45"])
def test_move_to_another_patient_is_refused_while_studies_of_the_earlier_one_are_here(
    site: Site, event: str
) -> None:
    """No message says which studies move: a person has to decide; without any studies it is accepted."""

    def moved(control_id: str) -> bytes:
        return hl7(msh(f"ADT^{event}", control_id), pid("PB"), "MRG|PA^^^^PI||A7||V7")

    assert site.tell(moved("M1")) == "AA"
    site.send()
    assert site.tell(moved("M2")) == "AE"
    assert site.all(Study.patient_id) == ["PA"]


def test_unlinking_merged_patients_is_refused(site: Site) -> None:
    """A merge is not undone; unlinking other patients changes nothing."""
    apart = hl7(msh("ADT^A37", "U1"), pid("PA"), pid("PB"))
    assert site.tell(apart) == "AA"
    other = hl7(msh("ADT^A37", "U0"), pid("PA", authority="H1"), pid("PA", authority="H2"))
    assert site.tell(other) == "AA"
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    assert site.tell(apart.replace(b"|U1|", b"|U2|")) == "AE"


def test_update_of_a_merged_identifier_does_not_undo_the_merge(site: Site) -> None:
    """A slower system still sends the old number; only a merge in the other direction undoes the merge."""
    site.tell(merge("M1", "PB", "PA", "Beta^B"))
    site.tell(change("C1", "PA", "Alpha^A"))
    site.send()
    site.work()
    assert {one[2:] for one in site.documents()} == {("PB", "Beta^B")}
    site.tell(merge("M2", "PA", "PB", "Alpha^A"))
    site.complete()
    site.work()
    assert site.documents()[-1][2:] == ("PA", "Alpha^A")


def _obr(site: Site, *fields: int) -> list[tuple[str, ...]]:
    """Fields of OBR of each result message, in order."""
    with site.house.database.reading() as session:
        rows = session.scalars(select(Document).where(Document.role == "message").order_by(Document.id)).all()
    return [tuple(next(parse(row.content).all("OBR")).text(n) for n in fields) for row in rows]


def _numbered(control_id: str, procedure: str = "CXR^Chest two views^L") -> bytes:
    """An order with both numbers, and the accession number of the images."""
    return hl7(
        msh("ORM^O01", control_id),
        pid("PA"),
        "ORC|NW|P-77|F-99",
        f"OBR|1|P-77|F-99|{procedure}||||||||||||||A1|RP-5",
    )


def test_order_gives_its_numbers_to_results_of_images_that_state_none(site: Site) -> None:
    """OBR-2, 3 and 19 of the results, and the request that the documents reference."""
    site.tell(_numbered("O1"))
    site.send()
    site.work()
    site.verify()
    assert _obr(site, 2, 3, 18, 19) == [("P-77", "F-99", "A1", "RP-5")] * 2
    with site.house.database.reading() as session:
        rows = session.scalars(select(Document).where(Document.role == "findings")).all()
    for row in rows:
        (request,) = dcmread(io.BytesIO(row.content)).ReferencedRequestSequence
        assert request.PlacerOrderNumberImagingServiceRequest == "P-77"
        assert request.FillerOrderNumberImagingServiceRequest == "F-99"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"PlacerOrderNumberImagingServiceRequest": "P-1"}, ("P-1", "A1^ECHO_AGENT")),
        ({"FillerOrderNumberImagingServiceRequest": "F-1"}, ("", "F-1")),
        ({"RequestedProcedureID": "RP-OTHER"}, ("", "A1^ECHO_AGENT")),
    ],
)
def test_order_of_the_images_is_not_mixed_with_another(
    site: Site, stated: dict[str, object], expected: tuple[str, str]
) -> None:
    """If the images state their order, nothing is added to it."""
    request = Dataset()
    for keyword, value in stated.items():
        setattr(request, keyword, value)
    site.tell(_numbered("O1"))
    site.send(RequestAttributesSequence=[request])
    site.work()
    assert _obr(site, 2, 3) == [expected]


def test_order_that_comes_between_draft_and_verdict_keeps_the_filler_number(site: Site) -> None:
    """The verdict replaces the draft at the receiver; the placer number is new to it."""
    site.send()
    site.work()
    site.tell(_numbered("O1"))
    site.verify()
    assert _obr(site, 2, 3) == [("", "A1^ECHO_AGENT"), ("P-77", "A1^ECHO_AGENT")]


SILENT: dict[str, object] = {"BodyPartExamined": "", "StudyDescription": "", "SeriesDescription": ""}


@pytest.mark.parametrize(
    ("procedure", "drafts"), [("CXR^Chest two views^L", 1), ("HAND^Hand two views^L", 0)]
)
@pytest.mark.parametrize("first", ["order", "images"])
def test_order_says_what_images_are_that_do_not(site: Site, procedure: str, drafts: int, first: str) -> None:
    """An undescribed chest film is drafted if a chest film was ordered, whichever comes first."""
    if first == "order":
        site.tell(_numbered("O1", procedure))
    site.send(**SILENT)
    if first == "images":
        assert site.all(Job.state) == ["SKIPPED"]
        site.tell(_numbered("O1", procedure))
        site.tell(_numbered("O2", procedure))
        site.complete()
    site.work()
    assert len(site.all(Draft.id)) == drafts


def test_order_does_not_overrule_what_the_images_say(site: Site) -> None:
    """A film of a hand remains one, whatever was ordered."""
    site.tell(_numbered("O1"))
    site.send(BodyPartExamined="HAND")
    site.work()
    assert site.all(Job.state) == ["SKIPPED"]
