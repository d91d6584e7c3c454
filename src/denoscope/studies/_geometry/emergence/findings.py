"""What a sweep says of the claims: nearest to the Gaussian in mid-training, less so with more
images or less width; and what stopping there brings.
"""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.estimate import Estimate, mean, paired
from denoscope.report import Finding
from denoscope.studies._geometry.emergence.course import HIGH, LOW, turn
from denoscope.studies._geometry.emergence.runs import Run, change, panels, widest
from denoscope.studies._geometry.words import said

_LINEAR = 0.9995  # a score that is 1 as it is printed


def claims(every: Sequence[Run]) -> list[Finding]:
    """Every claim that these networks can test, with its numbers."""
    courses, known = [run for run in every if run.trained], [run for run in every if run.known]
    found = (
        [
            _middle(courses),
            *_images(courses),
            _stopping(courses),
            *_leaving(courses),
            *_halves(courses),
        ]
        if courses
        else [_ends(every)]
    )
    return [*found, *_sizes(known), *_widths(known), *_linearity(known), *_truth(every)]


def _regime(run: Run) -> str:
    """Over which levels distances are averaged."""
    low, high = run.course.edges
    return (
        f"noise levels from {low:g} to {high:.3g}, the standard deviation of all "
        "images along their leading principal component"
    )


def _step(run: Run, index: int) -> str:
    step, last = int(run.course.steps[index]), int(run.course.steps[-1])
    share = 100 * step / last
    return f"step {step} of {last} ({share:.{0 if share >= 10 else 1}f} %)"


def _said(e: Estimate, form: str = ".3g") -> str:
    return said(e, form)


def _percent(share: float) -> str:
    return f"{100 * share:+.0f} %".replace("-", "−")


def _middle(courses: Sequence[Run]) -> Finding:
    small = widest(courses)[0]
    near, wide = small.nearest, turn(small.course.average("to_gaussian", published=True))
    steps = small.course.steps[small.course.array("to_gaussian").mean(-1).argmin(0)]
    each = ", ".join(f"{level:g}: {step}" for level, step in zip(small.course.levels, steps))
    if near.within:
        said = (
            "With few images a network is nearest to the Gaussian of its training set in "
            "mid-training, and then leaves it: "
            f"{small.group.label}, nearest at {_step(small, near.index)}, distance "
            f"{_said(near.value)}; at the end {_said(near.end)}, {100 * near.share:.0f} % "
            "more."
        )
    else:
        said = (
            "The distance to the Gaussian has no smallest value within the training: "
            f"{small.group.label}, smallest at {_step(small, near.index)}, "
            f"{_said(near.value)}; at the "
            f"end {_said(near.end)}."
        )
    return Finding(
        said,
        "good" if near.within else "absent",
        "Root mean squared difference a pixel on noisy unseen images, averaged over "
        f"{_regime(small)}; the moment is chosen on one half of the points and measured "
        "on the "
        f"other. Over the published regime, {LOW:g} to {HIGH:g}: nearest at "
        f"{_step(small, wide.index)}, rise to the end {_said(wide.rise)}. Step nearest to "
        f"the Gaussian, noise level by noise level: {each}. Intervals are over points, "
        "for "
        "these networks.",
    )


def _images(courses: Sequence[Run]) -> list[Finding]:
    """Whether networks of more images leave the Gaussian less far: from the size at which they
    leave it farthest to the largest.
    """
    found = widest(courses)
    far, large = max(found, key=lambda run: run.nearest.rise.value), found[-1]
    if len(found) < 2:
        return []
    less = paired(
        far.distance[-1] - far.distance[far.nearest.index],
        large.distance[-1] - large.distance[large.nearest.index],
    )
    falls = far is not large and less.low > 0
    rises = ", ".join(
        f"{_said(run.nearest.rise)} ({_percent(run.nearest.share)}) at N = {run.n}" for run in found
    )
    least = found[0]
    spanned = (
        f" At N = {least.n} the smallest distance is itself {_said(least.nearest.value)}: "
        "the Gaussian of so few images keeps nothing outside of their span."
        if least.n <= least.group.data().train()[0].numel()
        else ""
    )
    return [
        Finding(
            f"With more than {far.n} images it leaves the Gaussian less far: the distance "
            f"rises by {_said(far.nearest.rise)} at N = {far.n} and by "
            f"{_said(large.nearest.rise)} at N = {large.n}."
            if falls
            else "With more images it does not leave the Gaussian less far: the distance "
            f"rises by {_said(large.nearest.rise)} at N = {large.n}.",
            "good" if falls else "absent",
            f"Rise from the smallest distance to the end, width {large.width}: {rises}.{spanned}",
        )
    ]


def _stopping(courses: Sequence[Run]) -> Finding:
    found = widest(courses)
    small = found[0]
    error, near, best, copies = (
        small.course.error("test"),
        small.nearest.index,
        small.best.index,
        small.group.mean("copies"),
    )
    gain = change(error, near)
    moments = "; ".join(
        f"N = {run.n}: {int(run.course.steps[run.nearest.index])} and "
        f"{int(run.course.steps[run.best.index])}"
        for run in found
    )
    words = "Stopping where the network is nearest to the Gaussian"
    return Finding(
        f"{words} "
        f"{'avoids most of the damage' if gain.low > 0 else 'does not lower the held-out error'}: "
        f"{small.group.label}, held-out error {_said(mean(error[near]))} there, "
        f"{_said(mean(error[-1]))} at the end (1: the best linear denoiser).",
        "good" if gain.low > 0 else "absent",
        f"The held-out error's own best moment is {_step(small, best)}, "
        f"{_said(mean(error[best]))}; stopping nearest to the Gaussian instead costs "
        f"{_said(change(error, best, near))}. "
        f"Copies among its samples: {100 * copies[near]:.0f} % then, "
        f"{100 * copies[-1]:.0f} % at the end. Nearest to the Gaussian and least held-out "
        "error, in steps, width "
        f"{small.width}: {moments}.",
    )


def _leaving(courses: Sequence[Run]) -> list[Finding]:
    """Where there are many images, leaving the Gaussian may lower the error."""
    large = widest(courses)[-1]
    if not large.nearest.within:
        return []
    error, near = large.course.error("test"), large.nearest.index
    moved = change(error, near)
    words = (
        "for the better"
        if moved.high < 0
        else "for the worse"
        if moved.low > 0
        else "with no clear effect"
    )
    return [
        Finding(
            f"With {large.n} images the network leaves the Gaussian {words}: held-out "
            f"error {_said(mean(error[near]))} at {_step(large, near)}, "
            f"{_said(mean(error[-1]))} at the end.",
            "neutral",
            f"Change, point by point: {_said(moved)}. Networks are first like the "
            "Gaussian; what they learn beyond second moments is the training images "
            "where these are few, and what all images share "
            "where they are many.",
        )
    ]


def _halves(courses: Sequence[Run]) -> list[Finding]:
    """Agreement of networks on disjoint sets: what generalization is called strong for."""
    small = next((run for run in widest(courses) if run.pairs is not None), None)
    if small is None or small.pairs is None or small.gaussian_pairs is None:
        return []
    near = small.nearest.index
    lost = change(-small.pairs, near)
    narrow = panels(courses)[small.n][0]
    other = (
        f"; of width {narrow.width} at the end {_said(mean(narrow.pairs[-1]))}"
        if narrow is not small and narrow.pairs is not None
        else ""
    )
    return [
        Finding(
            "Networks of disjoint training sets make "
            f"{'more similar images when stopped early' if lost.low > 0 else 'no more similar images when stopped early'}: "
            ""
            f"N = {small.n}, width "
            f"{small.width}, cosine of samples from one noise "
            f"{_said(mean(small.pairs[near]))} nearest to the Gaussian, "
            f"{_said(mean(small.pairs[-1]))} at the end{other}.",
            "good" if lost.low > 0 else "absent",
            "About the mean image. Samples of the Gaussians of the two sets: "
            f"{_said(mean(small.gaussian_pairs))}. Networks that have hardly trained are "
            "alike as well: their agreement with the Gaussian's "
            f"samples, {mean(small.group.mean('with_gaussian')[0]).value:.2f} at "
            f"{_step(small, 0)}, "
            f"{mean(small.group.mean('with_gaussian')[near]).value:.2f} where nearest, "
            "tells them apart.",
        )
    ]


def _sizes(known: Sequence[Run]) -> list[Finding]:
    if len(panels(known)) < 2:
        return []
    small, large = widest(known)[0], widest(known)[-1]
    fall = paired(small.distance[-1], large.distance[-1])
    return [
        Finding(
            "At the end of training the distance to the Gaussian "
            f"{'falls' if fall.low > 0 else 'does not fall'} with the number of images: "
            f"{_said(mean(small.distance[-1]))} at N = {small.n}, "
            f"{_said(mean(large.distance[-1]))} at N = {large.n}.",
            "good" if fall.low > 0 else "absent",
            f"Width {' and '.join(dict.fromkeys((str(small.width), str(large.width))))}; "
            "each against the Gaussian of its own training set. Difference, point by "
            f"point: {_said(fall)}.",
        )
    ]


def _widths(known: Sequence[Run]) -> list[Finding]:
    found = {
        n: paired(group[-1].distance[-1], group[0].distance[-1])
        for n, group in panels(known).items()
        if len(group) > 1
    }
    if not found:
        return []
    grows = [n for n, e in found.items() if e.low > 0]
    rest = ", ".join(str(n) for n in found if n not in grows)
    where = (
        f"grows with width at N = {', '.join(map(str, grows))}"
        if grows
        else "nowhere grows with width"
    )
    group = panels(known)[min(found)]
    narrow = [panels(known)[n][0] for n in found]
    stays = "; ".join(
        f"N = {run.n}: {_percent(run.nearest.share)}" for run in narrow if run.trained
    )
    return [
        Finding(
            "At the end of training the distance "
            f"{where}{f', not at N = {rest}' if grows and rest else ''}.",
            "good" if 2 * len(grows) >= len(found) else "absent",
            f"Width {group[-1].width} less width {group[0].width}, point by point: "
            f"{'; '.join(f'N = {n}: {_said(e)}' for n, e in found.items())}."
            + (
                f" Rise from the smallest distance to the end at width {group[0].width}: {stays}."
                if stays
                else ""
            ),
        )
    ]


def _linearity(known: Sequence[Run]) -> list[Finding]:
    if len(panels(known)) < 2:
        return []
    small, large = widest(known)[0], widest(known)[-1]
    first, last = (run.course.average("linearity") for run in (small, large))
    more = paired(last[-1], first[-1])
    narrow = panels(known)[small.n][0]
    beside = (
        f" At N = {small.n}, width {narrow.width}: "
        f"{_said(mean(narrow.course.average('linearity')[-1]), '.4f')}."
        if narrow is not small
        else ""
    )
    best = mean(small.course.average("linearity_gaussian_all"))
    affine = ", below 1 since it is affine, not linear" if best.value < _LINEAR else ""
    near = (
        f" At N = {small.n}, where nearest to the Gaussian: "
        f"{_said(mean(first[small.nearest.index]), '.4f')}; the score only falls on the "
        f"way, from {_said(mean(first[0]), '.4f')} at the first snapshot."
        if small.trained and (first.mean(1)[1:] <= first.mean(1)[:-1]).all()
        else ""
    )
    return [
        Finding(
            f"Networks of many images {'end' if more.low > 0 else 'do not end'} more "
            f"linear: linearity {_said(mean(first[-1]), '.4f')} at N = {small.n}, "
            f"{_said(mean(last[-1]), '.4f')} at N = {large.n}.",
            "good" if more.low > 0 else "absent",
            f"Width {small.width}. The Gaussian of all images has "
            f"{_said(best, '.4f')}{affine}.{beside}{near}",
        )
    ]


def _truth(every: Sequence[Run]) -> list[Finding]:
    """How near the true denoiser the networks of most images end, where it is known."""
    last = widest(every)[-1]
    if "to_truth" not in last.group.first:
        return []
    distance = last.course.average("to_truth")
    from_all, error = (
        last.course.average("error_test_gaussian_all"),
        last.course.average("error_test_truth"),
    )
    moments = [
        int(run.course.steps[run.course.average("to_truth").mean(1).argmin()])
        for run in widest(every)
    ]
    when = "; ".join(
        f"N = {run.n}: {step}" for run, step in zip(widest(every), moments) if run.trained
    )
    return [
        Finding(
            f"{last.group.label}: the network ends {_said(mean(distance[-1]))} from the "
            f"true denoiser and {_said(mean(last.distance[-1]))} from the Gaussian of its "
            "training set.",
            "neutral",
            "Squared error of the true denoiser on unseen images, a pixel: "
            f"{_said(mean(error))}; of the best linear one: {_said(mean(from_all))}."
            + (f" Step nearest to the truth: {when}." if when else ""),
        )
    ]


def _ends(every: Sequence[Run]) -> Finding:
    def each(name: str) -> str:
        return "; ".join(
            f"{run.group.label}: {_said(mean(run.course.average(name)[-1]))}" for run in every
        )

    return Finding(
        "At the end of its training the distance of a given network to the Gaussian of "
        f"its training set is {each('to_gaussian')}.",
        "neutral",
        "Root mean squared difference a pixel on noisy unseen images, averaged over "
        f"{_regime(every[0])}. To the memorizer: {each('to_memorizer')}. How these "
        "networks came there was not looked at.",
    )
