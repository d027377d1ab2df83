"""The Space: a photo and words in, masks and their reasons out. `python spaces/refseg/app.py` runs it here."""

import importlib.util
import os
import tempfile
from pathlib import Path

os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / "hf-refseg-photos"))  # Gradio reads it soon

import about
import gradio as gr
import shapes
from choices import choices, find_choice
from errors import friendly
from examples import EXAMPLES, example_answer
from page import compared, cut_outs, stage
from PIL import Image
from segmenting import as_coco, segment, split_expressions
from uploads import KEEP_FILES, delete_from_now_on, photo_input
from why import why

HERE = Path(__file__).parent
SYSTEMS = [(one.label, one.name) for one in choices()]
LARGEST_UPLOAD = "15mb"
ONE_AT_A_TIME = {"concurrency_id": "model", "concurrency_limit": 1}
# on a phone the masks lie far below the button
TO_THE_MASKS = "() => innerWidth < 700 && document.querySelector('#masks').scrollIntoView({behavior: 'smooth'})"
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.blue,
    neutral_hue=gr.themes.colors.slate,
    radius_size="lg",
    font=["system-ui", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
)


def asked(photo: Image.Image | None, expressions: str | None) -> tuple[Image.Image, list[str]]:
    """A photo and expressions, both checked."""
    if photo is None:
        raise ValueError("There is no photo yet. Upload one, paste one, take one, or choose an example.")
    return photo, split_expressions(expressions)


@friendly
def show(photo, expressions, system, threshold, sharpen, progress=gr.Progress()):  # noqa: B008
    """Masks, cut-outs and reasons of one photo, as HTML."""
    (photo, wanted), choice = asked(photo, expressions), find_choice(system)
    progress(0.2, f"{choice.name} looks at the photo")
    answer = segment(choice, photo, wanted, threshold, sharpen)
    progress(0.8, "Drawing")
    return stage(answer), cut_outs(answer), why(answer)


@friendly
def segment_photo(
    photo: Image.Image, expressions: str, system: str = SYSTEMS[0][1], threshold: float = 0.5, sharpen: bool = False
) -> dict:
    """
    Segments what expressions refer to in a photo.

    Args:
        photo: the photo.
        expressions: what to find, one expression per line, such as "the cat on the left".
        system: the name of a checkpoint.
        threshold: the probability above which a pixel belongs to the mask, 0.05 to 0.95.
        sharpen: fit the masks to the colors of the photo with a dense CRF.

    Returns:
        COCO annotations: one category per expression, one annotation per mask that is not empty, with its run lengths
        (`pycocotools.mask.decode`), box (x, y, width, height), area and score. `images` has the size of the masks.
    """
    return as_coco(segment(find_choice(system), *asked(photo, expressions), threshold, sharpen))


def compare(photo, expression):
    """Every system's answer to the same input, each as soon as it is there."""
    photo, wanted = friendly(asked)(photo, expression)
    answers = []
    for choice in choices():
        yield compared(answers, f"{choice.name} looks at it …")
        answers.append(friendly(segment)(choice, photo, wanted))
    yield compared(answers)


@friendly
def show_shapes(seed, dialect, suggested, own, system):
    """The answer about a drawn scene: masks, reasons."""
    answer, truth = shapes.ask(int(seed or 0), dialect, own or suggested, find_choice(system))
    return stage(answer, truth), why(answer)


@friendly
def draw_scene(seed, dialect):
    """A drawn scene's expressions."""
    said = shapes.expressions(int(seed or 0), dialect)
    return gr.Radio(choices=said, value=said[0]), ""


def drop_unreadable(*fields: gr.Image) -> None:
    """What is no photo is told as soon as it is given, and taken away."""
    for field in fields:
        field.upload(lambda _: None, field, None, api_visibility="private").failure(
            lambda: None, None, field, api_visibility="private"
        )


def show_example(event: gr.SelectData):
    example = EXAMPLES[event.index]
    return example.photo(), "\n".join(example.expressions), *example_answer(event.index)


def carry(photo, expressions, here, text):
    """What was given on the first tab, where this one is still empty."""
    return (photo, (expressions or "").split("\n")[0]) if here is None else (here, text)


def build() -> gr.Blocks:
    first = EXAMPLES[0]
    masks, cut, reasons = example_answer(0)
    with gr.Blocks(
        title="Say it, see it: referring segmentation",
        analytics_enabled=False,
        fill_width=True,
    ) as demo:
        gr.HTML(about.HEADER, padding=False)
        with gr.Tab("Photo"):
            with gr.Row(elem_classes="workbench"):
                with gr.Column(scale=4, min_width=300):
                    photo = photo_input(first.photo(), label="Photo", height=300)
                    expressions = gr.Textbox(
                        "\n".join(first.expressions),
                        label="What to find",
                        info="One expression per line, up to eight.",
                        placeholder="the cat on the left",
                        lines=2,
                        max_lines=8,
                        elem_id="expressions",
                    )
                    button = gr.Button("Segment", variant="primary", size="lg", elem_id="segment")
                    system = gr.Dropdown(SYSTEMS, value=SYSTEMS[0][1], label="System", elem_id="system")
                    with gr.Accordion("Settings", open=False):
                        threshold = gr.Slider(
                            0.05,
                            0.95,
                            0.5,
                            step=0.05,
                            label="Threshold",
                            info="Lower: larger masks. Higher: only what is certain.",
                        )
                        sharpen = gr.Checkbox(
                            label="Sharpen edges (dense CRF)", info="Fits the mask to the colors of the photo."
                        )
                    gallery = gr.Gallery(
                        [one.photo() for one in EXAMPLES],
                        label="Or one of these",
                        columns=len(EXAMPLES),
                        height=160,
                        allow_preview=False,
                        interactive=False,
                        object_fit="cover",
                        buttons=[],
                        elem_id="examples",
                    )
                with gr.Column(scale=7, min_width=320):
                    shown = gr.HTML(masks, elem_id="masks", padding=False)
                    with gr.Tabs():
                        with gr.Tab("Why"):
                            explained = gr.HTML(reasons, elem_id="why", padding=False)
                        with gr.Tab("Cut-outs and downloads"):
                            cuts = gr.HTML(cut, elem_id="cut-outs", padding=False)
            wanted, answered = [photo, expressions, system, threshold, sharpen], [shown, cuts, explained]
            triggers = [button.click, expressions.submit, system.input, threshold.release, sharpen.input]
            gr.on(triggers, show, wanted, answered, api_visibility="private", show_progress_on=[shown], **ONE_AT_A_TIME)
            gallery.select(show_example, None, [photo, expressions, *answered], api_visibility="private")
            gr.on([button.click, gallery.select], js=TO_THE_MASKS, api_visibility="private")
            # for programs and assistants; fields of their own, since those of the page hold the first example
            sent = [photo_input(label="photo", visible=False), gr.Textbox(label="expressions", visible=False)]
            coco, endpoint = gr.JSON(label="coco", visible=False), gr.Button(visible=False)
            endpoint.click(segment_photo, [*sent, *wanted[2:]], coco, api_name="segment", **ONE_AT_A_TIME)

        with gr.Tab("Shapes") as drawn:
            gr.HTML(about.SHAPES, padding=False)
            with gr.Row(elem_classes="workbench"):
                with gr.Column(scale=4, min_width=300):
                    with gr.Row():
                        seed = gr.Number(1, label="Scene", precision=0, minimum=0, maximum=10**6, min_width=90, scale=1)
                        dialect = gr.Dropdown(
                            shapes.DIALECTS, value=shapes.DIALECTS[0][1], label="Kind of words", min_width=180, scale=2
                        )
                    another = gr.Button("Draw another scene", variant="secondary")
                    suggested = gr.Radio([], label="True of one thing in the scene")
                    own = gr.Textbox(
                        label="Or in your own words", info="Enter asks.", placeholder="the blue star on the right"
                    )
                    drawer = gr.Dropdown(shapes.systems(), value=shapes.systems()[0][1], label="System")
                with gr.Column(scale=7, min_width=320):
                    scene = gr.HTML(elem_id="scene", padding=False)
                    scene_why = gr.HTML(padding=False)
            asked, told_back = [seed, dialect, suggested, own, drawer], [scene, scene_why]
            quiet = {"api_visibility": "private", **ONE_AT_A_TIME}
            another.click(lambda number: int(number or 0) + 1, seed, seed, api_visibility="private")
            gr.on(
                [drawn.select, seed.change, dialect.input], draw_scene, [seed, dialect], [suggested, own], **quiet
            ).then(show_shapes, asked, told_back, **quiet)
            suggested.input(lambda: "", None, own, api_visibility="private").then(
                show_shapes, asked, told_back, **quiet
            )
            gr.on([own.submit, drawer.input], show_shapes, asked, told_back, **quiet)

        with gr.Tab("Compare") as comparing:
            gr.HTML(about.COMPARE, padding=False)
            with gr.Row(elem_classes="workbench"):
                with gr.Column(scale=4, min_width=300):
                    same = photo_input(label="Photo or scene", height=260)
                    question = gr.Textbox(
                        label="What to find", placeholder="the cat on the left", max_length=200, elem_id="question"
                    )
                    run_all = gr.Button("Ask all systems", variant="primary", size="lg")
                    a_scene = gr.Button("Take a drawn scene", variant="secondary")
                with gr.Column(scale=7, min_width=320):
                    answers = gr.HTML(elem_id="compared", padding=False)
            comparing.select(carry, [photo, expressions, same, question], [same, question], api_visibility="private")
            a_scene.click(shapes.any_scene, None, [same, question], api_visibility="private")
            gr.on(
                [run_all.click, question.submit], compare, [same, question], answers, show_progress="minimal", **quiet
            )

        drop_unreadable(photo, same)
        with gr.Tab("About"):
            gr.HTML(about.page(LARGEST_UPLOAD, KEEP_FILES // 60), padding=False)
    return demo.queue(max_size=64)


if __name__ == "__main__":
    page = build()
    delete_from_now_on(page)
    page.launch(
        theme=THEME,
        css_paths=HERE / "style.css",
        max_file_size=LARGEST_UPLOAD,
        mcp_server=importlib.util.find_spec("mcp") is not None,
        run_history=False,
        ssr_mode=False,
        footer_links=["api"],
    )
