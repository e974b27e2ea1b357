"""Codes and words: what the shipped tables make of them, and what they refuse to be taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.record.codes import NO_MATCH, CodeBook, Match
from cds_service.record.tables import load_tables

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
ATC = "http://www.whocc.no/atc"
CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
NDC = "http://hl7.org/fhir/sid/ndc"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
ICDO3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
# Every drug is one, which says nothing of the boundaries tested here.
DRUG = {"drug"}
SITE_HEADER = "concept,system,code,match,use,property,display,source,verified,note\n"


@pytest.fixture(scope="module")
def book() -> CodeBook:
    """The shipped tables."""
    return CodeBook(load_tables())


class TestOneCode:
    """One coding at a time."""

    @pytest.mark.parametrize(
        ("system", "code", "concept"),
        [
            (LOINC, "718-7", "hemoglobin"),
            (LOINC, "59260-0", "hemoglobin"),
            (LOINC, "751-8", "neutrophils"),
            (LOINC, "770-8", "neutrophils_percent"),
            (LOINC, "1742-6", "alt"),
            (LOINC, "1920-8", "ast"),
            (LOINC, "731-0", "lymphocytes"),
            (LOINC, "33558-8", "clearance_other"),
            (LOINC, "41514-1", "hiv_viral_load_log"),
            (LOINC, "21976-6", "response_recist"),
            (LOINC, "97509-4", "response_general"),
            (LOINC, "88040-1", "response_general"),
            (LOINC, "LA9624-3", "answer_ecog_2"),
            (LOINC, "LA28406-9", "nyha_3"),
            (LOINC, "LA28371-5", "response_stable"),
            (LOINC, "LA28370-7", "response_progressive"),
            (SNOMED, "422512005", "answer_ecog_1"),
            (SNOMED, "260415000", "answer_negative"),
            (SNOMED, "34516001", "midgut_body_site"),
            (SNOMED, "34402009", "other_body_site"),
            (ICDO3, "C25.4", "other_body_site"),
            (SNOMED, "47625008", "intravenous_route"),
            (LOINC, "LP7839-6", "pathology_report"),
            (LOINC, "60567-5", "pathology_report"),
            (LOINC, "11526-1", "pathology_report"),
            (SNOMED, "94225005", "metastasis"),
            (NCIT, "C35571", "response_progressive"),
            (ICDO3, "8249/3", "grade_2"),
            (ICDO3, "8240/3-C17.2", "morphology_net"),
            (ICDO3, "8246/3", "grade_3"),
            (ICD10CM, "C7A.012", "net_midgut"),
            (ICD10CM, "C7A012", "net_midgut"),
            (ICD10CM, "C7A.010", "net_site_disputed"),
            (ICD10CM, "C7A.099", "net_site_unspecified"),
            (ICD10CM, "C7A.026", "net_other_site"),
            (ICD10CM, "D3A.092", "net_benign"),
            (ICD10CM, "C7B.02", "metastasis"),
            (ICD10CM, "C17.2", "midgut_site_malignancy"),
            (ICD10CM, "C80.1", "unknown_primary_malignancy"),
            (ICD10CM, "C50.911", "malignancy"),
            (ICD10CM, "C4A.0", "malignancy"),
            (ICD10CM, "Z85.3", "malignancy_history"),
            (ICD10CM, "C79.32", "brain_metastasis"),
            (ICD10CM, "C78.7", "metastasis_generic"),
            (ICD10CM, "I50.22", "heart_failure"),
            (ICD10CM, "K90.829", "oral_intake_problem"),
            (ICD10CM, "Z90.711", "childbearing_ended"),
            (ICD10, "C80.0", "unknown_primary_malignancy"),
            (ICD10, "B24", "hiv"),
            (RXNORM, "1999687", "lu177_dotatate"),
            (HCPCS, "A9513", "prrt"),
            (NDC, "69488-003-01", "lu177_dotatate"),
            (NDC, "69488-0003-01", "lu177_dotatate"),
            (NDC, "69488000301", "lu177_dotatate"),
            (NDC, "69488-001", "tracer_dotatate"),
            (DICOM, "PT", "pet"),
            (CPT, "96413", "chemotherapy_unspecified"),
            (CPT, "37243", "embolisation_any_organ"),
            (ICD10PCS, "0DTB0ZZ", "major_surgery"),
            (ICD10PCS, "0JH60WZ", "surgery"),
            (SNOMED, "764678003", "liver_directed_therapy"),
        ],
    )
    def test_stands_for_its_concept(
        self, book: CodeBook, system: str, code: str, concept: str
    ) -> None:
        """A listed code is a fact for its concept and the concept's ancestors."""
        match = book.match(system, code)

        assert concept in match.concepts
        assert "fact" == match.use

    @pytest.mark.parametrize(
        ("system", "code", "concept"),
        [
            (SNOMED, "254837009", "malignancy"),
            (SNOMED, "27503000", "gilbert"),
            (RXNORM, "1999682", "lu177_dotatate"),
            (RXNORM, "6718", "alkylator"),
            (CPT, "58600", "tubal_ligation"),
            (CPT, "44950", "surgery"),
            (ICD10CM, "Z79.630", "alkylator"),
            (HCPCS, "A9592", "tracer_cu64_dotatate"),
        ],
    )
    def test_is_only_possible_where_unverified(
        self, book: CodeBook, system: str, code: str, concept: str
    ) -> None:
        """An unverified or ambiguous code never decides by itself."""
        match = book.match(system, code)

        assert concept in match.concepts
        assert "possible" == match.use
        assert match.concepts == match.possible

    @pytest.mark.parametrize(
        ("system", "code", "concept"),
        [
            (LOINC, "11041-1", "creatinine"),
            (LOINC, "2161-8", "creatinine"),
            (LOINC, "62238-1", "clearance_cockcroft_gault"),
            (LOINC, "33914-3", "clearance_measured"),
            (LOINC, "35592-5", "clearance_cockcroft_gault"),
            (LOINC, "13056-7", "platelets"),
            (LOINC, "92635-2", "leukocytes"),
            (LOINC, "79348-9", "body_weight"),
            (LOINC, "25373-2", "hcg"),
            (LOINC, "85330-9", "ki67"),
            (LOINC, "44648-4", "tumor_grade"),
            (LOINC, "88021-1", "nyha_class"),
            (LOINC, "24725-4", "brain_imaging_contrast"),
            (LOINC, "81555-5", "tracer_dotatate"),
            (ICD10CM, "C7B.1", "net_metastasis"),
            (ICD10CM, "C7B1", "metastasis"),
            (ICD10CM, "Z85.020", "malignancy_history"),
            (ICD10CM, "Z85.030", "malignancy_history"),
            (ICD10CM, "Z85.040", "malignancy_history"),
            (ICD10CM, "Z85.060", "malignancy_history"),
            (ICD10CM, "Z85.060", "net"),
            (ICD10CM, "Z85.110", "malignancy_history"),
            (ICD10CM, "Z85.230", "malignancy_history"),
            (ICD10CM, "Z85.520", "malignancy_history"),
            (ICD10CM, "Z80.3", "malignancy"),
            (ICD10CM, "Z12.31", "malignancy"),
            (ICD10CM, "N95.1", "postmenopausal"),
            (ICD10CM, "Z90.712", "hysterectomy"),
            (ICD10CM, "Z90.721", "oophorectomy_bilateral"),
            (ICD10CM, "Z30.2", "tubal_ligation"),
            (ICD10CM, "O80", "pregnancy"),
            (ICD10CM, "O92.5", "lactation"),
            (SNOMED, "302377002", "oophorectomy_bilateral"),
            (SNOMED, "83152002", "oophorectomy_bilateral"),
            (SNOMED, "169550004", "tubal_ligation"),
            (SNOMED, "165815009", "hiv"),
            (SNOMED, "60899001", "heart_failure"),
            (SNOMED, "44332000", "malabsorption"),
            (SNOMED, "447553000", "lu177_dotatate"),
            (SNOMED, "14691008", "prrt"),
            (SNOMED, "301076003", "liver_embolisation"),
            (SNOMED, "443271005", "tracer_dotatate"),
            (SNOMED, "428061005", "brain_metastasis"),
            (SNOMED, "34402009", "midgut_body_site"),
            (CPT, "58661", "oophorectomy_bilateral"),
            (CPT, "36415", "surgery"),
            (RXNORM, "1534772", "prrt"),
            (RXNORM, "2597052", "prrt"),
            (RXNORM, "405942", "systemic_steroid"),
            (RXNORM, "5882", "interferon_alfa"),
            (RXNORM, "2587059", "interferon_alfa"),
            (ATC, "V10XX05", "prrt"),
            (ATC, "V09IX09", "tracer_dotatate"),
            (ATC, "J05AF10", "antiretroviral"),
        ],
    )
    def test_trap_is_never_the_concept(
        self, book: CodeBook, system: str, code: str, concept: str
    ) -> None:
        """A trap is recognised as such and does not stand for what it resembles."""
        match = book.match(system, code)

        assert match.trap
        assert concept not in match.concepts

    @pytest.mark.parametrize(
        ("system", "code"),
        [
            (None, "718-7"),
            (LOINC, None),
            (LOINC, ""),
            (LOINC, " 718-7"),
            (LOINC, "9999-9"),
            ("urn:local", "718-7"),
            (ICD10CM, "c7a.012"),
            (ICD10CM, "Z8"),
            (ICD10, "C7A.012"),
            (LOINC, "14775-1"),
            (LOINC, "89245-5"),
            (HCPCS, "C9399"),
        ],
    )
    def test_unknown_code_stands_for_nothing(
        self, book: CodeBook, system: str | None, code: str | None
    ) -> None:
        """No system, no code, another spelling, and context are no match."""
        assert NO_MATCH == book.match(system, code)

    @pytest.mark.parametrize("alias", ["urn:oid:2.16.840.1.113883.6.90", ICD10CM + "/"])
    def test_system_is_known_by_its_other_names(self, book: CodeBook, alias: str) -> None:
        """OID and URL are the same system."""
        assert book.match(ICD10CM, "C7A.012") == book.match(alias, "C7A.012")

    def test_modality_is_known_by_the_page_of_its_value_set(self, book: CodeBook) -> None:
        """Synthea's name for DICOM modalities is an alias."""
        page = "http://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_29.html"

        assert "pet" in book.match(page, "PT").concepts

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("718-7", "mass"),
            ("59260-0", "moles"),
            ("14682-9", "moles"),
            ("35203-9", ""),
            ("777-3", "number"),
            ("770-8", "fraction"),
            ("2164-2", "rate"),
            ("1968-7", "mass"),
        ],
    )
    def test_tells_the_property(self, book: CodeBook, code: str, expected: str) -> None:
        """What a code measures comes along for the unit check."""
        assert expected == book.match(LOINC, code).property

    def test_same_code_gives_the_same_answer_when_the_cache_is_full(self, book: CodeBook) -> None:
        """A cleared cache costs time only."""
        before = book.match(LOINC, "718-7")
        for number in range(50_001):
            book.match(LOINC, f"x{number}")

        assert before == book.match(LOINC, "718-7")


class TestDrugs:
    """The boundaries that decide criteria."""

    @pytest.mark.parametrize(
        ("system", "code"),
        [(RXNORM, c) for c in ("141704", "845507", "845512", "1308428", "1119400")]
        + [(ATC, "L01EG02")],
    )
    def test_everolimus_for_cancer(self, book: CodeBook, system: str, code: str) -> None:
        """Bare everolimus and the oncology strengths are antitumour therapy."""
        assert {"everolimus", "everolimus_oncology", "antitumor"} == book.match(
            system, code
        ).concepts - DRUG

    @pytest.mark.parametrize(
        ("system", "code"),
        [(RXNORM, c) for c in ("977426", "977427", "977434", "977438", "2056895")]
        + [(ATC, "L04AH02"), (ATC, "L04AA18")],
    )
    def test_everolimus_for_transplants(self, book: CodeBook, system: str, code: str) -> None:
        """Transplant strengths are everolimus, but no antitumour therapy."""
        assert {"everolimus", "everolimus_transplant"} == book.match(system, code).concepts - DRUG

    @pytest.mark.parametrize(
        ("system", "code"),
        [(ATC, c) for c in ("L01AX03", "L01AX04", "L01AD04", "L01AA01", "L01AZ99", "L01A")]
        + [(RXNORM, c) for c in ("37776", "1731338", "239180", "3002", "309012")],
    )
    def test_alkylator(self, book: CodeBook, system: str, code: str) -> None:
        """The class L01A and its drugs by other codes."""
        assert {"alkylator", "antitumor"} == book.match(system, code).concepts - DRUG

    @pytest.mark.parametrize(
        ("system", "code"),
        [(RXNORM, c) for c in ("2555", "32592", "1718589", "314167", "194000", "357977")]
        + [(ATC, c) for c in ("L01XA01", "L01XA03", "L01CX01", "L01BC06", "L01")],
    )
    def test_antitumor_drug_that_is_no_alkylator(
        self, book: CodeBook, system: str, code: str
    ) -> None:
        """Platinum, trabectedin and procarbazine are antitumour drugs only."""
        assert {"antitumor_drug", "antitumor"} == book.match(system, code).concepts - DRUG

    @pytest.mark.parametrize("code", ["309013", "1437711"])
    def test_local_alkylator(self, book: CodeBook, code: str) -> None:
        """The implant and the gel are local, not systemic."""
        assert {"alkylator_local", "antitumor_local"} == book.match(RXNORM, code).concepts - DRUG

    @pytest.mark.parametrize(
        ("code", "concept"),
        [
            ("V10XX03", "alpha_therapy"),
            ("V10XX04", "lu177_dotatate"),
            ("V10XX05", "radiopharmaceutical_other"),
            ("V10XX02", "radiopharmaceutical_other"),
            ("V10XA01", "radiopharmaceutical_other"),
        ],
    )
    def test_therapeutic_radiopharmaceutical(self, book: CodeBook, code: str, concept: str) -> None:
        """Only 177Lu-DOTATATE is PRRT; the class is antitumour."""
        concepts = book.match(ATC, code).concepts

        assert concept in concepts
        assert "antitumor" in concepts
        assert (concept == "lu177_dotatate") == ("prrt" in concepts)

    @pytest.mark.parametrize("code", ["L01BA01", "L04AX03"])
    def test_methotrexate_is_for_a_person(self, book: CodeBook, code: str) -> None:
        """A code that does not tell the route is not antitumour by itself."""
        assert {"methotrexate_low_dose"} == book.match(ATC, code).concepts - DRUG

    @pytest.mark.parametrize("code", ["H01CB02", "A16AX15", "H02AB06", "M05BX04"])
    def test_supportive_drug_is_no_antitumor_therapy(self, book: CodeBook, code: str) -> None:
        """Somatostatin analogues, telotristat, steroids and bone agents never count."""
        match = book.match(ATC, code)

        assert match.concepts
        assert "antitumor" not in match.concepts


class TestSeveralCodes:
    """The codings of one CodeableConcept."""

    def test_concepts_are_joined(self, book: CodeBook) -> None:
        """Each coding adds its concepts."""
        match = book.match_all([(ICD10CM, "C78.7"), (SNOMED, "705176003")])

        assert {"metastasis", "metastasis_generic", "net_metastasis", "net"} == match.concepts

    def test_trap_takes_its_concept_from_the_others(self, book: CodeBook) -> None:
        """One coding that is a trap bars the concept, and leaves the rest."""
        match = book.match_all([(ATC, "V10XX04"), (RXNORM, "2597052")])

        assert match.trap
        assert {"radiopharmaceutical_other", "antitumor"} == match.concepts - DRUG

    def test_trap_takes_what_only_its_concept_brought(self, book: CodeBook) -> None:
        """Ancestors go with the concept that brought them."""
        match = book.match_all([(ICD10CM, "C7B.1"), (ICD10CM, "C7B.02")])

        assert match.trap
        assert frozenset() == match.concepts

    def test_one_fact_makes_a_fact_and_the_doubt_is_kept(self, book: CodeBook) -> None:
        """A possible concept beside a fact is told apart."""
        match = book.match_all([(ICD10CM, "C7A.012"), (SNOMED, "254837009")])

        assert "fact" == match.use
        assert {"malignancy"} == match.possible

    def test_disagreeing_properties_are_no_property(self, book: CodeBook) -> None:
        """Mass and moles together leave the unit to decide."""
        assert "" == book.match_all([(LOINC, "1975-2"), (LOINC, "14631-6")]).property

    def test_one_coding_is_as_alone(self, book: CodeBook) -> None:
        """A single coding gives what match gives."""
        assert book.match(LOINC, "718-7") == book.match_all([(LOINC, "718-7")])

    def test_no_coding_is_no_match(self, book: CodeBook) -> None:
        """Nothing coded, nothing known."""
        assert NO_MATCH == book.match_all([])


class TestWords:
    """Words where no code is."""

    @pytest.mark.parametrize(
        ("text", "concept"),
        [
            ("LUTATHERA 7.4 GBq", "lu177_dotatate"),
            ("177Lu-DOTATATE", "prrt"),
            ("[177Lu]Lu-DOTA-TATE", "prrt"),
            ("\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT SEVEN}\N{SUPERSCRIPT SEVEN}Lu-DOTATATE", "prrt"),
            ("Lutetium^177^ DOTATATE", "lu177_dotatate"),
            ("lutetium Lu 177 dotatate", "lu177_dotatate"),
            ("cycle 2 of PRRT", "prrt"),
            ("90Y-DOTATOC", "prrt_other"),
            ("177Lu-edotreotide", "prrt_other"),
            ("225Ac-DOTATATE", "alpha_therapy"),
            ("AlphaMedix", "alpha_therapy"),
            ("Xofigo", "alpha_therapy"),
            ("Pluvicto", "radiopharmaceutical_other"),
            ("Afinitor 10 mg", "everolimus_oncology"),
            ("Zortress (everolimus) 0.75 mg", "everolimus_transplant"),
            ("CAPTEM", "alkylator"),
            ("CAPTEM", "antitumor_drug"),
            ("Temodal 100 mg", "alkylator"),
            ("DTIC", "alkylator"),
            ("cisplatin", "antitumor_drug"),
            ("trabectedin", "antitumor_drug"),
            ("Efudex 5 % cream", "antitumor_local"),
            ("Gliadel (carmustine implant)", "alkylator_local"),
            ("interferon alfa-2b", "interferon_alfa"),
            ("octreotide LAR", "somatostatin_analogue"),
        ],
    )
    def test_drug_is_possible_by_its_name(self, book: CodeBook, text: str, concept: str) -> None:
        """Names, brands and isotopes in every spelling; never more than possible."""
        match = book.match_words("drug", text)

        assert concept in match.concepts
        assert "possible" == match.use

    @pytest.mark.parametrize(
        ("text", "concept"),
        [
            ("Ga-68 DOTATATE", "prrt"),
            ("Netspot", "prrt"),
            ("64Cu-DOTATATE (Detectnet)", "prrt"),
            ("DOTATATE", "prrt"),
            ("Ga-68 edotreotide", "prrt"),
            ("Pluvicto", "prrt"),
            ("Zortress (everolimus)", "antitumor"),
            ("topical fluorouracil", "antitumor"),
            ("Gliadel carmustine", "alkylator"),
            ("ropeginterferon alfa-2b (interferon alfa)", "interferon_alfa"),
            ("cisplatin", "alkylator"),
            ("temozolomider", "alkylator"),
        ],
    )
    def test_drug_is_not_what_it_resembles(self, book: CodeBook, text: str, concept: str) -> None:
        """Tracers, local forms and parts of words."""
        assert concept not in book.words("drug", text)

    @pytest.mark.parametrize(
        ("text", "concept"),
        [
            ("PET/CT 68Ga-DOTATATE", "tracer_ga68_dotatate"),
            ("Ga-68 DOTATATE PET", "tracer_ga68_dotatate"),
            ("DOTATATE scan with gallium-68", "tracer_ga68_dotatate"),
            ("NETSPOT", "tracer_ga68_dotatate"),
            ("64Cu dotatate", "tracer_cu64_dotatate"),
            ("Copper-64 DOTATATE", "tracer_cu64_dotatate"),
            ("Detectnet", "tracer_cu64_dotatate"),
            ("68Ga-DOTATOC PET", "pet_excluded_tracer"),
            ("18F-FDG PET/CT", "pet_excluded_tracer"),
            ("18F-FDG PET/CT", "pet"),
        ],
    )
    def test_tracer_needs_isotope_and_peptide(
        self, book: CodeBook, text: str, concept: str
    ) -> None:
        """The isotope and DOTATATE in any order, or a brand."""
        assert concept in book.words("tracer", text)

    @pytest.mark.parametrize(
        "text", ["DOTATATE PET", "Ga-68 PET", "68Ga-DOTATOC", "177Lu-DOTATATE SPECT", "18F-FDG"]
    )
    def test_half_a_tracer_is_none(self, book: CodeBook, text: str) -> None:
        """DOTATATE alone, gallium alone, or the therapy is no tracer."""
        assert "tracer_dotatate" not in book.words("tracer", text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Response by RECIST 1.1", {"response_recist"}),
            ("iRECIST", {"response_general", "response_other_criteria"}),
            ("mRECIST", {"response_general", "response_other_criteria"}),
            ("modified RECIST", {"response_general", "response_other_criteria"}),
            ("PERCIST", {"response_general", "response_other_criteria"}),
            ("CTCAE v5.0 grade", {"ctcae"}),
            ("recistance", set()),
        ],
    )
    def test_kind_of_assessment(self, book: CodeBook, text: str, expected: set[str]) -> None:
        """IRECIST is a word of its own, not RECIST."""
        assert expected == book.words("assessment", text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Neuroendocrine tumour of the ileum", {"net_by_text", "net"}),
            ("metastatic carcinoid tumors", {"net_by_text", "net"}),
            ("Neuroendocrine carcinoma", {"net_by_text", "net"}),
            ("Carcinoid syndrome", set()),
            ("Family history of neuroendocrine tumor", set()),
            ("Breast cancer", {"malignancy"}),
            ("Family history of breast cancer", set()),
            ("History of breast cancer", {"malignancy_history"}),
            ("Screening for colon cancer", set()),
            ("Suspected lung cancer", set()),
            ("Secondary malignant neoplasm of liver", set()),
            ("Hypertension", set()),
            ("Human immunodeficiency virus [HIV] disease", {"hiv"}),
            ("HIV test negative", set()),
            ("Hearing aids", set()),
            ("Gilbert's syndrome", {"gilbert"}),
            ("Metastatic disease, brain", {"brain_metastasis", "metastasis"}),
            ("History of brain metastases", set()),
            ("Congestive heart failure", {"heart_failure"}),
            ("Family history of heart failure", set()),
            ("Carcinoid heart disease", {"carcinoid_heart"}),
            ("Short bowel syndrome", {"malabsorption", "oral_intake_problem"}),
            ("Risk of dysphagia", set()),
            ("Pregnancy test", set()),
            ("Mother currently breast-feeding", {"lactation"}),
        ],
    )
    def test_condition(self, book: CodeBook, text: str, expected: set[str]) -> None:
        """A diagnosis in words, and what is no diagnosis of the patient."""
        assert expected == book.words("condition", text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Right hemicolectomy", {"surgery", "resection"}),
            ("Excision of lesion of skin", {"surgery"}),
            ("Excision of ileum", {"surgery", "resection"}),
            ("Consultation for surgery", set()),
            ("Appendectomy refused", set()),
            ("TACE", {"liver_directed_therapy", "antitumor_procedure"}),
            ("Embolisation of uterine artery", {"embolisation_any_organ"}),
            ("Microwave ablation of lesion of liver",
             {"liver_directed_therapy", "antitumor_procedure"}),
            ("Ablation of atrial flutter", set()),
            ("External beam radiation therapy", {"external_beam_radiotherapy"}),
            ("Blood draw", set()),
        ],
    )  # fmt: skip
    def test_procedure(self, book: CodeBook, text: str, expected: set[str]) -> None:
        """A procedure in words, and what was not done."""
        assert expected == book.words("procedure", text)

    @pytest.mark.parametrize(
        ("domain", "text", "concept"),
        [
            ("grade", "G2", "grade_2"),
            ("grade", "Grade II", "grade_2"),
            ("grade", " grade  3 ", "grade_3"),
            ("response", "CR", "response_complete"),
            ("response", "Stable Disease", "response_stable"),
            ("response", "NE", "response_not_evaluable"),
            ("status", "Patient's condition worsened", "status_worsened"),
            ("stage", "Stage IVB", "stage_4"),
            ("stage", "M1c", "m1"),
            ("presence", "Not detected", "answer_negative"),
            ("presence", "UNDETECTABLE", "answer_not_detected"),
            ("nyha", "NYHA class II", "nyha_2"),
            ("nyha", "III", "nyha_3"),
            ("ecog", "ECOG 1", "answer_ecog_1"),
            ("consent", "Consent to NET-RETREAT", "trial_consent"),
            ("consent", "CCTG NE.1.", "trial_consent"),
            ("pathology", "well-differentiated neuroendocrine neoplasm", "morphology_net"),
            ("form", "ophthalmic ointment", "local_form"),
            ("route", "Methotrexate Intravenous", "antitumor"),
        ],
    )
    def test_answer(self, book: CodeBook, domain: str, text: str, concept: str) -> None:
        """Answers and names in words."""
        assert concept in book.words(domain, text)

    @pytest.mark.parametrize(
        ("domain", "text"),
        [
            ("grade", "G2-G3"),
            ("grade", "not grade 3"),
            ("response", "no CR"),
            ("response", "PR interval"),
            ("stage", "Stage III"),
            ("stage", "T2 N0 M1"),
            ("presence", "not positive"),
            ("ecog", "6"),
            ("consent", "line 1"),
            ("consent", "NE 1"),
            ("drug", ""),
            ("drug", " \n"),
            ("drug", "\N{ZERO WIDTH SPACE}--//"),
        ],
    )
    def test_other_words_are_nothing(self, book: CodeBook, domain: str, text: str) -> None:
        """Exact words are exact, and no words are nothing."""
        assert NO_MATCH == book.match_words(domain, text)

    def test_a_long_text_takes_no_time(self, book: CodeBook) -> None:
        """The time is linear: two megabytes are read in one pass."""
        assert "prrt" in book.words("drug", "lutetium " * 200_000 + "DOTATATE")

    def test_unknown_domain_is_an_error(self, book: CodeBook) -> None:
        """A mistyped domain is a mistake of ours, not an empty answer."""
        with pytest.raises(KeyError):
            book.words("drugs", "everolimus")


class TestVocabulary:
    """Concepts, and lists of codes for searching."""

    def test_label_and_descendants(self, book: CodeBook) -> None:
        """Names for people; a concept is below itself."""
        assert "Hemoglobin" == book.label("hemoglobin")
        assert {"prrt", "lu177_dotatate", "prrt_other"} == book.descendants("prrt")

    def test_codes_of_a_concept_hold_the_narrower_ones(self, book: CodeBook) -> None:
        """Searches list facts and possibles, no traps, no families."""
        codes = book.codes_of(["prrt"])

        assert (RXNORM, "1999687") in codes
        assert (RXNORM, "1999682") in codes
        assert (RXNORM, "2597052") not in codes
        assert sorted(set(codes)) == list(codes)

    def test_prefixes_of_a_concept(self, book: CodeBook) -> None:
        """Families are listed apart."""
        assert ((ATC, "L01A"),) == book.prefixes_of(["alkylator"])

    @pytest.mark.parametrize(
        ("concepts", "expected"),
        [
            ({"hemoglobin"}, "hemoglobin"),
            ({"hcg", "hcg_quantitative"}, "hcg_level"),
            ({"neutrophils", "leukocytes"}, "cell_count"),
            ({"hemoglobin", "platelets"}, None),
            ({"hiv_viral_load_log"}, None),
            (set(), None),
        ],
    )
    def test_quantity(self, book: CodeBook, concepts: set[str], expected: str | None) -> None:
        """One kind of measurement, or none."""
        assert expected == book.quantity_of(frozenset(concepts))


class TestSiteCodes:
    """A site's own table."""

    def test_local_code_is_read(self, tmp_path: Path) -> None:
        """A system of the site's own needs no entry anywhere else."""
        own = tmp_path / "local.csv"
        own.write_text(
            SITE_HEADER + "hemoglobin,https://hospital.example/lab,HGB,exact,fact,mass,Hb,x,yes,\n",
            encoding="utf-8",
        )

        book = CodeBook(load_tables(extra=[own]))

        expected = Match(frozenset({"hemoglobin"}), property="mass")
        assert expected == book.match("https://hospital.example/lab", "HGB")
        assert CodeBook(load_tables()).digest != book.digest
