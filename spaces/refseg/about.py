"""What the page says of itself."""

from html import escape
from pathlib import Path

from choices import choices

from hf_refseg.checkpoints import checkpoint_path
from hf_refseg.evaluation.results import read_eval_results

# Whose idea a family is; of any other one its class prefix is shown.
PAPERS = {
    "cac": "CAC (Chen et al., BMVC 2019)",
    "context_rmi": "RMI (Liu et al., ICCV 2017) with context",
    "hulanet": "HULANet (Wu et al., CVPR 2020)",
    "mattnet": "MAttNet (Yu et al., CVPR 2018)",
    "region_matcher": "region matcher, a sibling of MAttNet",
    "rmi": "RMI (Liu et al., ICCV 2017)",
}
HEADER = """
<header class="hero">
  <h1><span>Say it,</span> <span>see it.</span></h1>
  <p>Describe something in a photo and get its mask, with the reason why. Published systems of referring segmentation,
  small enough for a CPU. Photos are never kept.</p>
</header>
"""
SHAPES = """
<p class="lead">These systems were trained on drawn shapes only, in minutes, to show how they work. Scenes come from a
number, each expression is true of one thing, and the answer is checked.</p>
"""
COMPARE = """
<p class="lead">One picture, one expression, every system. Those of drawn shapes know nothing of photos: give them a
scene to be fair.</p>
"""


def page(largest_upload: str, minutes: int) -> str:
    """The systems of this page, and what happens to a photo."""
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th><td>{PAPERS.get(one.system.family, one.system.prefix)}</td>'
        f"<td>{'drawn shapes' if one.on_shapes else 'photos'}</td><td>{one.megabytes:.1f} MB</td>"
        f"<td>{measured(one.name)}</td></tr>"
        for one in choices()
    )
    return f"""
<div class="prose">
<h2>Systems</h2>
<div class="scroll"><table class="systems">
<tr><th scope="col">checkpoint</th><th scope="col">system</th><th scope="col">trained on</th>
<th scope="col">weights</th><th scope="col">mIoU</th></tr>
{rows}</table></div>
<p>A mean IoU belongs to the data and the protocol below it and can't be compared with one of other data. Checkpoints of
photos are small demonstrations: they are often wrong, and know few words.</p>
<h2>Your photo</h2>
<ul>
<li>It is sent to this server, looked at, and deleted within {minutes} minutes. Nobody trains on it.</li>
<li>Files of up to {escape(largest_upload.upper())}. Photos of more than 2000 pixels are made smaller.</li>
<li>Masks, cut-outs and annotations are made for your browser only and don't lie on the server at all.</li>
</ul>
<h2>From a program</h2>
<pre><code>from gradio_client import Client, handle_file

client = Client("OWNER/refseg")          # or the address of this page
coco = client.predict(photo=handle_file("photo.jpg"), expressions="the cat\\nthe dog", api_name="/segment")</code></pre>
<p>It answers with COCO annotations. The link “Use via API or MCP” below has every argument. Assistants find
the same as a tool by the Model Context Protocol.</p>
</div>
"""


def measured(name: str) -> str:
    """The mean IoU of a checkpoint, on which data and by which protocol."""
    results = read_eval_results(Path(checkpoint_path(name)))
    return (
        f"{100 * results['metrics']['mIoU']:.1f}<br><small>{escape(results['dataset'])}, {results['protocol']}</small>"
    )
