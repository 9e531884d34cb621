"""A report as a real one looks: two judges and a model on 1,200 pairs with three annotators each."""

from random import Random

from judge.agreement.schema import (
    AgreementReport,
    AltTest,
    AnnotatorRow,
    Audit,
    BaselineChange,
    Benchmark,
    Bias,
    Calibration,
    CalibrationCurve,
    Ceiling,
    Comparison,
    Confusion,
    Coverage,
    Disagreement,
    Equivalence,
    Figure,
    Flag,
    Headline,
    JudgeReading,
    JudgeReport,
    League,
    LeagueRow,
    LengthBin,
    NextLabel,
    ProbeResult,
    ReliabilityBin,
    SelectivePoint,
    Slice,
    Triangle,
    Unit,
    Vote,
    WinRate,
)

HOSTILE = (
    '</script><script>alert("ran")</script><img src=x onerror=alert(1)><svg onload=alert(2)>'
    "<!-- <script> \u2028 {{ 7*7 }} javascript:alert(3) \"' &lt;b&gt; \x07 \ud800"
)


def audit() -> Audit:
    shares = {"inject": (0.31, 0.29), "restyle": (0.08, 0.05), "swap": (0.07, 0.0), "pad": (0.04, 0.02)}
    return Audit(
        name="audit-of-judge",
        probes=tuple(
            ProbeResult(
                probe=probe,
                about=f"what {probe} changes",
                moved=figure("moved", "Verdict moved", moved, n=400, of=probe),
                toward=figure("toward", "Moved in favour of what was changed", toward, n=400, of=probe),
                lost=3,
            )
            for probe, (moved, toward) in shares.items()
        ),
    )


def figure(
    name: str, title: str, value: float | None, half: float = 0.02, n: int = 1197, unit: Unit = "share", of: str = ""
) -> Figure:
    low, high = (None, None) if value is None else (value - half, value + half)
    return Figure(
        name=name,
        title=title,
        value=value,
        low=low,
        high=high,
        n=n,
        clusters=n // 3,
        unreadable=3,
        unit=unit,
        of=of,
        note="" if value is not None else "no row says so",
    )


def agreement(top: float) -> tuple[Figure, ...]:
    return (
        figure("accuracy", "Accuracy, ties count as a verdict", top),
        figure("accuracy_untied", "Accuracy without ties", top + 0.06, n=1011),
        figure("accuracy_forward", "Accuracy, order as given", top - 0.01),
        figure("accuracy_swapped", "Accuracy, order swapped", top + 0.01),
        figure("macro_f1", "Macro F1", top - 0.08),
        figure("cohen_kappa", "Cohen's κ", 2 * top - 0.9, 0.04, unit="coefficient"),
        figure("krippendorff_alpha", "Krippendorff's α, nominal", 2 * top - 0.91, 0.04, unit="coefficient"),
        figure("gwet_ac1", "Gwet's AC1", 2 * top - 0.86, 0.04, unit="coefficient"),
        figure("spearman", "Spearman", None, unit="coefficient"),
    )


def calibration(shift: float) -> Calibration:
    def curve(name: str, over: float) -> CalibrationCurve:
        bins = []
        for place in range(10):
            low = 0.5 + place * 0.05
            right = min(0.99, max(0.4, low + 0.025 - over * (place + 1) / 10))
            bins.append(
                ReliabilityBin(
                    low=low, high=low + 0.05, n=40 + 12 * place, confidence=low + 0.027, accuracy=right,
                    accuracy_low=right - 0.06, accuracy_high=min(1.0, right + 0.06),
                )
            )  # fmt: skip
        return CalibrationCurve(
            name=name,
            bins=tuple(bins),
            ece=figure("ece", "Expected calibration error", over / 2 + 0.01, 0.01, unit="loss"),
            brier=figure("brier", "Brier score", 0.18 + over / 10, 0.01, unit="loss"),
            log_loss=figure("log_loss", "Log loss", 0.55 + over / 4, 0.02, unit="loss"),
            parameter=1.84 if name == "temperature" else None,
        )

    points = tuple(
        SelectivePoint(coverage=k / 50, accuracy=0.92 - 0.24 * (k / 50) ** 1.3, confidence=1 - k / 100, n=24 * k)
        for k in range(1, 51)
    )
    return Calibration(
        curves=(curve("as_stated", shift), curve("temperature", 0.03), curve("isotonic", 0.01)),
        selective=points,
        selective_area=figure("selective_area", "Area under the selective accuracy curve", 0.81),
    )


def ceiling() -> Ceiling:
    people = [("ada", 0.74, 0.71), ("ben", 0.69, 0.70), ("chris", 0.55, 0.72)]
    rows = tuple(
        AnnotatorRow(
            name=name,
            n=1197,
            agreement=figure("loo", "with the others", own, 0.03),
            judge=figure("loo_judge", "the judge in their place", judge, 0.03),
            judge_with=figure("judge_with", "the judge with this person", own - 0.03, 0.03),
            advantage=0.48 + place * 0.05,
            p_value=(0.21, 0.04, 0.0004)[place],
            wins=place > 0,
            accuracy=figure("ds", "Dawid–Skene accuracy", own + 0.1, 0.02),
            off=name == "chris",
            drift=figure("drift", "drift", -0.02, 0.03, unit="share"),
            seconds=31.0 + place,
        )
        for place, (name, own, judge) in enumerate(people)
    )
    return Ceiling(
        human=figure("human", "People among themselves", 0.68),
        judge=figure("judge", "The judge in a person's place", 0.71),
        annotators=rows,
        alt_test=AltTest(epsilon=0.15, winning_rate=2 / 3, advantage=0.53, tested=3, passed=True),
        equivalence=Equivalence(
            margin=0.05, difference=0.03, low=0.004, high=0.056, p_value=0.08, equivalent=False, not_worse=True
        ),
        among=(figure("fleiss", "Fleiss' κ", 0.44, 0.03, unit="coefficient"),),
        aggregation=(
            figure("majority", "Judge against the majority", 0.71),
            figure("dawid_skene", "Judge against Dawid–Skene", 0.73),
        ),
    )


def bias() -> Bias:
    cuts = (-9.0, -1.0, -0.5, -0.2, 0.2, 0.5, 1.0, 9.0)
    bins = tuple(
        LengthBin(
            low=cuts[k], high=cuts[k + 1], n=150 - 20 * abs(k - 3), human_first=0.35 + 0.05 * k,
            judge_first=0.18 + 0.1 * k, agreement=0.78 - 0.04 * abs(k - 3),
        )
        for k in range(7)
    )  # fmt: skip
    return Bias(
        position=(
            figure("flips", "Verdict changes with the order", 0.19),
            figure("shown_first", "The response shown first wins", 0.585),
        ),
        length=(
            figure("longer_judge", "The longer response wins by the judge's verdict", 0.71),
            figure("longer_people", "The longer response wins by people's verdict", 0.58),
            figure("length_coefficient", "Logistic coefficient of log length ratio", 0.74, 0.11, unit="coefficient"),
        ),
        length_bins=bins,
        style=(
            figure("styled_judge", "The more marked-up response wins by the judge's verdict", 0.57),
            figure("styled_people", "The more marked-up response wins by people's verdict", 0.55),
        ),
        self_preference=(figure("self_preference", "Judge prefers itself more than people do", 0.02),),
        consistency=(figure("self_consistency", "Two answers to one question agree", 0.94),),
    )


def slices() -> tuple[Slice, ...]:
    rows = []
    for place, name in enumerate(("math", "code", "writing", "roleplay", "extraction", "reasoning", "stem", "law")):
        n = (180, 170, 160, 150, 140, 130, 120, 19)[place]
        value = (0.52, 0.66, 0.78, 0.73, 0.71, 0.69, 0.72, 0.63)[place]
        small = n < 30
        rows.append(
            Slice(
                field="category", value=name, figure=figure("accuracy", "Accuracy", value, 0.9 / n**0.5, n=n),
                difference=None if small else value - 0.71, p_value=None if small else (0.0004 if place == 0 else 0.4),
                small=small, worse=place == 0,
            )
        )  # fmt: skip
    return tuple(rows)


def judge(name: str, top: float, *, whole: bool = True) -> JudgeReport:
    return JudgeReport(
        name=name,
        task="preference",
        coverage=Coverage(labelled=1200, readable=1195, unreadable=3, missing=2, unlabelled=40, prompts=399),
        agreement=agreement(top),
        confusion=(
            Confusion(
                labels=("first", "second", "tie"), counts=((402, 91, 30), (88, 371, 27), (70, 81, 35)),
                unreadable=(1, 2, 0),
            ),
        ),
        ceiling=ceiling() if whole else None,
        calibration=calibration(0.25) if whole else None,
        bias=bias() if whole else None,
        slices=slices() if whole else (),
        estimates=(
            WinRate(
                system="model-b", over="model-a", judge=figure("win", "judge", 0.62, 0.01, n=12000),
                human=figure("win", "human", 0.56, 0.05), combined=figure("win", "both", 0.57, 0.02), saved=2140,
            ),
        ),
        label_next=(NextLabel(id="5f" * 16, information=0.97, why="both orders disagree", prompt="Who was first?"),),
    )  # fmt: skip


PROMPTS = (
    "Explain why the sky is blue to a child of seven.",
    "Write a function that merges two sorted lists.",
    "Is it rude to leave a party without saying goodbye?",
    "A train leaves at 14:05 and arrives at 17:50. How long is the journey?",
)
LOREM = (
    "Sunlight looks white, but it is a mix of all colours. When it meets the air, the blue part is scattered much more "
    "than the red part, so blue light reaches your eyes from every direction.\n\n1. Light comes in.\n2. Blue bounces "
    "around.\n3. You see blue everywhere."
)


def disagreements(count: int) -> tuple[Disagreement, ...]:
    draw = Random(5)
    rows = [hostile()]
    for place in range(count - 1):
        human, said = draw.choice((("first", "second"), ("second", "first"), ("tie", "first"), ("first", "unreadable")))
        sure = None if said == "unreadable" else round(draw.uniform(0.5, 1), 3)
        rows.append(
            Disagreement(
                id=f"{place:032x}",
                judge_name=draw.choice(("qwen-32b", "tiny")),
                human=human,
                judge=said,
                confidence=sure,
                votes=(Vote(annotator="ada", verdict=human), Vote(annotator="ben", verdict=human)),
                answers=(
                    JudgeReading(
                        asked="forward", verdict=said, text="The second answer is clearer. [[B]]", probability=sure
                    ),
                    JudgeReading(asked="swapped", verdict=human, text="Both are right. [[A]]", probability=0.6),
                ),
                prompt=draw.choice(PROMPTS),
                texts={"first": LOREM[: draw.randrange(60, 250)], "second": LOREM * draw.randrange(1, 4)},
                fields={"category": draw.choice(("math", "code", "writing"))},
                consistent=draw.random() < 0.7,
                length=round(draw.uniform(-1, 1), 2),
                split=draw.random() < 0.2,
            )
        )
    return tuple(rows)


def hostile() -> Disagreement:
    return Disagreement(
        id="hostile",
        judge_name="qwen-32b",
        human="first",
        judge="second",
        confidence=0.999,
        votes=(Vote(annotator=HOSTILE, verdict="first"),),
        answers=(JudgeReading(asked="forward", verdict="second", text=HOSTILE, probability=0.999),),
        prompt="needle " + HOSTILE,
        texts={"first": HOSTILE, "second": HOSTILE},
        fields={"source": HOSTILE},
        consistent=True,
        length=0.0,
    )


FLAGS = (
    Flag(
        name="likes_length", severity="warn", judge="qwen-32b", what="It likes length: the longer response wins more "
        "often than people say it should.", evidence="Log odds for doubling the length: +0.74 beyond people's own.",
        sure="95 % interval 0.63 to 0.85, p < 0.001",
        advice="Ask for the length-controlled win rate, or add a rule against padding to the prompt.",
    ),
    Flag(
        name="always_first", severity="stop", judge="tiny", what="It says “first” whatever stands there.",
        evidence="First in 98.1 % of rows in the given order and in 97.9 % when swapped.", sure="p < 0.001, n = 1,197",
        advice="Do not use its verdicts; ask in both orders and look at its prompt.",
    ),
    Flag(
        name="annotator_off", severity="note", what="Annotator chris agrees less with the others than they do among "
        "themselves.", evidence="55.0 % against 74.0 and 69.0 %.", sure="p = 0.0004 after correction",
        advice="Look at ten of their labels before you rely on the ceiling.",
    ),
)  # fmt: skip


def report(count: int = 200, *, total: int | None = None) -> AgreementReport:
    """The whole sample with `count` disagreements."""
    main = agreement(0.71)[0]
    return AgreementReport(
        title="qwen-32b, tiny and rm-1 against people",
        kind="pair",
        headline=Headline(
            level="fair",
            sentence="qwen-32b agrees with people as well as they agree with one another, but it likes length.",
            why=("It agrees with 71.0 % of the human verdicts; people agree with one another on 68.0 %.",
                 "It passes the alternative-annotator test with 2 of 3 annotators (ε = 0.15)."),
        ),
        flags=FLAGS,
        judges=(judge("qwen-32b", 0.71), judge("tiny", 0.52, whole=False)),
        disagreements=disagreements(count),
        disagreements_total=total or count,
        rows_total=1200,
        league=League(
            rows=(LeagueRow(rank=1, name="qwen-32b", figure=main),
                  LeagueRow(rank=2, name="rm-1", figure=figure("accuracy", "Accuracy", 0.70), tied=True),
                  LeagueRow(rank=3, name="tiny", figure=figure("accuracy", "Accuracy", 0.52))),
            comparisons=(
                Comparison(first="qwen-32b", second="rm-1", difference=figure("d", "difference", 0.01, 0.03),
                           p_value=0.48, only_first_right=101, only_second_right=89),
                Comparison(first="qwen-32b", second="tiny", difference=figure("d", "difference", 0.19, 0.03),
                           p_value=0.0001, only_first_right=301, only_second_right=89),
            ),
            common=1190,
        ),
        triangle=Triangle(
            judge="qwen-32b", model="rm-1", human_judge=main, judge_model=figure("jm", "judge and model", 0.84),
            human_model=figure("hm", "people and model", 0.70),
            parts={"all_agree": 700, "model_alone": 90, "judge_alone": 80, "human_alone": 250, "all_differ": 70},
            inherited=figure("inherited", "Judge's mistakes that the model repeats", 0.76, n=330),
        ),
        audits=(audit(),),
        benchmarks=(
            Benchmark(name="RewardBench", judge="qwen-32b", protocol="accuracy a subset, then the mean of sections",
                      source="rewardbench/constants.py", figures=(figure("rb", "Overall", 0.883),)),
        ),
        changes=(
            BaselineChange(judge="qwen-32b", name="accuracy", title="Accuracy", before=0.74, now=0.71, low=0.69,
                           high=0.73, worse=True),
        ),
        sources=("runs/qwen-32b", "runs/tiny", "data/pandalm.json"),
        resamples=2000,
        seed=7,
    )  # fmt: skip
