"""What to cite: one entry per work, gathered from what a run used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A work: who, what, where, when, and its arXiv number or DOI where there is one."""

    key: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str = ""
    doi: str = ""

    def text(self) -> str:
        """One line: authors (year). title. venue. identifier."""
        identifier = (
            f" arXiv:{self.arxiv}." if self.arxiv else f" doi:{self.doi}." if self.doi else ""
        )
        return f"{self.authors} ({self.year}). {self.title}. {self.venue}.{identifier}"

    def url(self) -> str:
        """The page of the work, or the empty string."""
        return (
            f"https://arxiv.org/abs/{self.arxiv}"
            if self.arxiv
            else f"https://doi.org/{self.doi}"
            if self.doi
            else ""
        )

    def bibtex(self) -> str:
        """A BibTeX entry."""
        fields = {
            "author": self.authors.replace(", ", " and "),
            "title": f"{{{self.title}}}",
            "year": str(self.year),
            "note": self.venue,
        }
        fields |= (
            {"eprint": self.arxiv, "archiveprefix": "arXiv"}
            if self.arxiv
            else {"doi": self.doi}
            if self.doi
            else {}
        )
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{body}\n}}"


_WORKS = (
    Reference(
        "denoscope",
        "The Denoscope authors",
        "Denoscope: diffusion models seen through their denoiser",
        "Software",
        2026,
    ),
    Reference(
        "zhang2024",
        "Huijie Zhang, Jinfan Zhou, Yifu Lu, Minzhe Guo, Peng Wang, Liyue Shen, Qing Qu",
        "The Emergence of Reproducibility and Consistency in Diffusion Models",
        "ICML 2024, PMLR 235:60558-60590",
        2024,
        arxiv="2310.05264",
    ),
    Reference(
        "rozet2024",
        "François Rozet, Gérôme Andry, François Lanusse, Gilles Louppe",
        "Learning Diffusion Priors from Observations by Expectation Maximization",
        "Neural Information Processing Systems",
        2024,
        arxiv="2405.13712",
    ),
    Reference(
        "zhang2025",
        "Huijie Zhang, Zijian Huang, Siyi Chen, Jinfan Zhou, Zekai Zhang, Peng Wang, Qing Qu",
        "Understanding Generalization in Diffusion Models via Probability Flow Distance",
        "arXiv",
        2025,
        arxiv="2505.20123",
    ),
    Reference(
        "wang2026",
        "Binxu Wang, Jacob Zavatone-Veth, Cengiz Pehlevan",
        "A Random Matrix Theory Perspective on the Consistency of Diffusion Models",
        "arXiv",
        2026,
        arxiv="2602.02908",
    ),
    Reference(
        "kadkhodaie2024",
        "Zahra Kadkhodaie, Florentin Guth, Eero P. Simoncelli, Stéphane Mallat",
        "Generalization in Diffusion Models Arises from Geometry-Adaptive Harmonic Representations",
        "ICLR 2024",
        2024,
        arxiv="2310.02557",
    ),
    Reference(
        "wang2024",
        "Peng Wang, Huijie Zhang, Zekai Zhang, Siyi Chen, Yi Ma, Qing Qu",
        "Diffusion Models Learn Low-Dimensional Distributions via Subspace Clustering",
        "Preprint",
        2024,
        arxiv="2409.02426",
    ),
    Reference(
        "karras2022",
        "Tero Karras, Miika Aittala, Timo Aila, Samuli Laine",
        "Elucidating the Design Space of Diffusion-Based Generative Models",
        "NeurIPS 2022",
        2022,
        arxiv="2206.00364",
    ),
    Reference(
        "ho2020",
        "Jonathan Ho, Ajay Jain, Pieter Abbeel",
        "Denoising Diffusion Probabilistic Models",
        "NeurIPS 2020",
        2020,
        arxiv="2006.11239",
    ),
    Reference(
        "ho2022",
        "Jonathan Ho, Tim Salimans",
        "Classifier-Free Diffusion Guidance",
        "NeurIPS 2021 Workshop on Deep Generative Models",
        2022,
        arxiv="2207.12598",
    ),
    Reference(
        "bao2023",
        "Fan Bao, Shen Nie, Kaiwen Xue, Yue Cao, Chongxuan Li, Hang Su, Jun Zhu",
        "All are Worth Words: A ViT Backbone for Diffusion Models",
        "CVPR 2023",
        2023,
        arxiv="2209.12152",
    ),
    Reference(
        "song2023",
        "Yang Song, Prafulla Dhariwal, Mark Chen, Ilya Sutskever",
        "Consistency Models",
        "ICML 2023",
        2023,
        arxiv="2303.01469",
    ),
    Reference(
        "song2024",
        "Yang Song, Prafulla Dhariwal",
        "Improved Techniques for Training Consistency Models",
        "ICLR 2024",
        2024,
        arxiv="2310.14189",
    ),
    Reference(
        "song2021ddim",
        "Jiaming Song, Chenlin Meng, Stefano Ermon",
        "Denoising Diffusion Implicit Models",
        "ICLR 2021",
        2021,
        arxiv="2010.02502",
    ),
    Reference(
        "lu2022",
        "Cheng Lu, Yuhao Zhou, Fan Bao, Jianfei Chen, Chongxuan Li, Jun Zhu",
        "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models",
        "Preprint",
        2022,
        arxiv="2211.01095",
    ),
    Reference(
        "alaa2022",
        "Ahmed M. Alaa, Boris van Breugel, Evgeny Saveliev, Mihaela van der Schaar",
        "How Faithful is your Synthetic Data? Sample-level Metrics for Evaluating and "
        "Auditing Generative Models",
        "ICML 2022",
        2022,
        arxiv="2102.08921",
    ),
    Reference(
        "yoon2023",
        "TaeHo Yoon, Joo Young Choi, Sehyun Kwon, Ernest K. Ryu",
        "Diffusion Probabilistic Models Generalize when They Fail to Memorize",
        "ICML 2023 Workshop on Structured Probabilistic Inference and Generative Modeling",
        2023,
    ),
    Reference(
        "heusel2017",
        "Martin Heusel, Hubert Ramsauer, Thomas Unterthiner, Bernhard Nessler, Sepp Hochreiter",
        "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
        "NeurIPS 2017",
        2017,
        arxiv="1706.08500",
    ),
    Reference(
        "clopper1934",
        "C. J. Clopper, E. S. Pearson",
        "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
        "Biometrika 26(4):404-413",
        1934,
        doi="10.1093/biomet/26.4.404",
    ),
    Reference(
        "donner2012",
        "Allan Donner, G. Y. Zou",
        "Closed-form Confidence Intervals for Functions of the Normal Mean and Standard Deviation",
        "Statistical Methods in Medical Research 21(4):347-359",
        2012,
        doi="10.1177/0962280210383082",
    ),
    Reference(
        "song2021",
        "Yang Song, Jascha Sohl-Dickstein, Diederik P. Kingma, Abhishek Kumar, Stefano "
        "Ermon, Ben Poole",
        "Score-Based Generative Modeling through Stochastic Differential Equations",
        "ICLR 2021",
        2021,
        arxiv="2011.13456",
    ),
    Reference(
        "lipman2023",
        "Yaron Lipman, Ricky T. Q. Chen, Heli Ben-Hamu, Maximilian Nickel, Matt Le",
        "Flow Matching for Generative Modeling",
        "ICLR 2023",
        2023,
        arxiv="2210.02747",
    ),
    Reference(
        "nichol2021",
        "Alex Nichol, Prafulla Dhariwal",
        "Improved Denoising Diffusion Probabilistic Models",
        "ICML 2021",
        2021,
        arxiv="2102.09672",
    ),
    Reference(
        "huang2007",
        "Gary B. Huang, Manu Ramesh, Tamara Berg, Erik Learned-Miller",
        "Labeled Faces in the Wild: A Database for Studying Face Recognition in "
        "Unconstrained Environments",
        "University of Massachusetts, Amherst, Technical Report 07-49",
        2007,
    ),
    Reference(
        "alpaydin1998",
        "E. Alpaydin, C. Kaynak",
        "Optical Recognition of Handwritten Digits",
        "UCI Machine Learning Repository",
        1998,
        doi="10.24432/C50P49",
    ),
    Reference(
        "xiao2017",
        "Han Xiao, Kashif Rasul, Roland Vollgraf",
        "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
        "Preprint",
        2017,
        arxiv="1708.07747",
    ),
    Reference(
        "mergergoldt2025",
        "Claudia Merger, Sebastian Goldt",
        "Generalization dynamics of linear diffusion models",
        "Preprint",
        2025,
        arxiv="2505.24769",
    ),
    Reference(
        "maillardgoldt2026",
        "Antoine Maillard, Sebastian Goldt",
        "Memorisation, convergence and generalisation in generative models",
        "Preprint",
        2026,
        arxiv="2605.21402",
    ),
    Reference(
        "wang2025",
        "Binxu Wang, Cengiz Pehlevan",
        "An analytical theory of spectral bias in the learning dynamics of diffusion models",
        "Preprint",
        2025,
        arxiv="2503.03206",
    ),
    Reference(
        "ledoitpeche2011",
        "Olivier Ledoit, Sandrine Péché",
        "Eigenvectors of some large sample covariance matrix ensembles",
        "Probability Theory and Related Fields 151:233-264",
        2011,
        doi="10.1007/s00440-010-0298-3",
    ),
    Reference(
        "loshchilov2019",
        "Ilya Loshchilov, Frank Hutter",
        "Decoupled Weight Decay Regularization",
        "ICLR",
        2019,
        arxiv="1711.05101",
    ),
    Reference(
        "srivastava2014",
        "Nitish Srivastava, Geoffrey Hinton, Alex Krizhevsky, Ilya Sutskever, Ruslan Salakhutdinov",
        "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        "Journal of Machine Learning Research 15:1929-1958",
        2014,
    ),
    Reference(
        "scarvelis2023",
        "Christopher Scarvelis, Haitz Sáez de Ocáriz Borde, Justin Solomon",
        "Closed-Form Diffusion Models",
        "Preprint",
        2023,
        arxiv="2310.12395",
    ),
    Reference(
        "biroli2024",
        "Giulio Biroli, Tony Bonnaire, Valentin de Bortoli, Marc Mézard",
        "Dynamical regimes of diffusion models",
        "Nature Communications 15:9957",
        2024,
        arxiv="2402.18491",
    ),
    Reference(
        "dodson2026",
        "Nick Dodson, Xinyu Gao, Qingsong Wang, Yusu Wang, Zhengchao Wan",
        "Two Calm Ends and the Wild Middle: A Geometric Picture of Memorization in Diffusion "
        "Models",
        "arXiv",
        2026,
        arxiv="2602.17846",
    ),
    Reference(
        "zhang2024stages",
        "Huijie Zhang, Yifu Lu, Ismail Alkhouri, Saiprasad Ravishankar, Dogyoon Song, Qing Qu",
        "Improving Training Efficiency of Diffusion Models via Multi-Stage Framework and "
        "Tailored Multi-Decoder Architecture",
        "CVPR",
        2024,
        arxiv="2312.09181",
    ),
    Reference(
        "katharopoulos2018",
        "Angelos Katharopoulos, François Fleuret",
        "Not All Samples Are Created Equal: Deep Learning with Importance Sampling",
        "ICML",
        2018,
        arxiv="1803.00942",
    ),
    Reference(
        "bonnaire2025",
        "Tony Bonnaire, Raphaël Urfin, Giulio Biroli, Marc Mézard",
        "Why Diffusion Models Don't Memorize: The Role of Implicit Dynamical "
        "Regularization in Training",
        "NeurIPS",
        2025,
        arxiv="2505.17638",
    ),
    Reference(
        "favero2025",
        "Alessandro Favero, Antonio Sclocchi, Matthieu Wyart",
        "Bigger Isn't Always Memorizing: Early Stopping Overparameterized Diffusion Models",
        "arXiv",
        2025,
        arxiv="2505.16959",
    ),
    Reference(
        "gu2025",
        "Xiangming Gu, Chao Du, Tianyu Pang, Chongxuan Li, Min Lin, Ye Wang",
        "On Memorization in Diffusion Models",
        "Transactions on Machine Learning Research",
        2025,
        arxiv="2310.02664",
    ),
    Reference(
        "george2025",
        "Anand Jerry George, Rodrigo Veiga, Nicolas Macris",
        "Denoising Score Matching with Random Features: Insights on Diffusion Models from "
        "Precise Learning Curves",
        "arXiv",
        2025,
        arxiv="2502.00336",
    ),
    Reference(
        "urfin2026",
        "Raphaël Urfin, Tony Bonnaire, Giulio Biroli, Marc Mézard",
        "Double descent and malign overfitting",
        "preprint",
        2026,
    ),
    Reference(
        "kamb2025",
        "Mason Kamb, Surya Ganguli",
        "An Analytic Theory of Creativity in Convolutional Diffusion Models",
        "ICML",
        2025,
        arxiv="2412.20292",
    ),
    Reference(
        "lukoianov2025",
        "Artem Lukoianov, Chenyang Yuan, Justin Solomon, Vincent Sitzmann",
        "Locality in Image Diffusion Models Emerges from Data Statistics",
        "arXiv",
        2025,
        arxiv="2509.09672",
    ),
    Reference(
        "li2024",
        "Xiang Li, Yixiang Dai, Qing Qu",
        "Understanding Generalizability of Diffusion Models Requires Rethinking the "
        "Hidden Gaussian Structure",
        "NeurIPS",
        2024,
        arxiv="2410.24060",
    ),
    Reference(
        "chen2024",
        "Siyi Chen, Huijie Zhang, Minzhe Guo, Yifu Lu, Peng Wang, Qing Qu",
        "Exploring Low-Dimensional Subspaces in Diffusion Models for Controllable Image Editing",
        "NeurIPS",
        2024,
        arxiv="2409.02374",
    ),
    Reference(
        "zhang2026",
        "Yiming Zhang, Sitong Liu, Ke Li, Zhihong Wu, Alex Cloninger, Melvin Leok",
        "GeoEdit: Local Frames for Fast, Training-Free On-Manifold Editing in Diffusion Models",
        "Preprint",
        2026,
        arxiv="2604.24238",
    ),
    Reference(
        "halko2011",
        "Nathan Halko, Per-Gunnar Martinsson, Joel A. Tropp",
        "Finding Structure with Randomness: Probabilistic Algorithms for Constructing "
        "Approximate Matrix Decompositions",
        "SIAM Review 53:217-288",
        2011,
        doi="10.1137/090771806",
    ),
    Reference(
        "musco2015",
        "Cameron Musco, Christopher Musco",
        "Randomized Block Krylov Methods for Stronger and Faster Approximate Singular "
        "Value Decomposition",
        "NeurIPS",
        2015,
        arxiv="1504.05477",
    ),
    Reference(
        "meyer2021",
        "Raphael A. Meyer, Cameron Musco, Christopher Musco, David P. Woodruff",
        "Hutch++: Optimal Stochastic Trace Estimation",
        "SOSA",
        2021,
        arxiv="2010.09649",
    ),
    Reference(
        "facco2017",
        "Elena Facco, Maria d'Errico, Alex Rodriguez, Alessandro Laio",
        "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
        "Scientific Reports 7:12140",
        2017,
        doi="10.1038/s41598-017-11873-y",
    ),
    Reference(
        "levina2004",
        "Elizaveta Levina, Peter J. Bickel",
        "Maximum Likelihood Estimation of Intrinsic Dimension",
        "NIPS",
        2004,
    ),
    Reference(
        "kamkari2024",
        "Hamidreza Kamkari, Brendan Leigh Ross, Rasa Hosseinzadeh, Jesse C. Cresswell, "
        "Gabriel Loaiza-Ganem",
        "A Geometric View of Data Complexity: Efficient Local Intrinsic Dimension "
        "Estimation with Diffusion Models",
        "NeurIPS",
        2024,
        arxiv="2406.03537",
    ),
    Reference(
        "stanczuk2024",
        "Jan Pawel Stanczuk, Georgios Batzolis, Teo Deveney, Carola-Bibiane Schönlieb",
        "Diffusion Models Encode the Intrinsic Dimension of Data Manifolds",
        "ICML",
        2024,
        arxiv="2212.12611",
    ),
    Reference(
        "meehan2020",
        "Casey Meehan, Kamalika Chaudhuri, Sanjoy Dasgupta",
        "A Non-Parametric Test to Detect Data-Copying in Generative Models",
        "AISTATS 2020, PMLR 108",
        2020,
        arxiv="2004.05675",
    ),
    Reference(
        "jiralerspong2023",
        "Marco Jiralerspong, Avishek Joey Bose, Ian Gemp, Chongli Qin, Yoram Bachrach, "
        "Gauthier Gidel",
        "Feature Likelihood Divergence: Evaluating the Generalization of Generative "
        "Models Using Samples",
        "NeurIPS 2023",
        2023,
        arxiv="2302.04440",
    ),
    Reference(
        "kynkaanniemi2019",
        "Tuomas Kynkäänniemi, Tero Karras, Samuli Laine, Jaakko Lehtinen, Timo Aila",
        "Improved Precision and Recall Metric for Assessing Generative Models",
        "NeurIPS 2019",
        2019,
        arxiv="1904.06991",
    ),
    Reference(
        "naeem2020",
        "Muhammad Ferjad Naeem, Seong Joon Oh, Youngjung Uh, Yunjey Choi, Jaejun Yoo",
        "Reliable Fidelity and Diversity Metrics for Generative Models",
        "ICML 2020",
        2020,
        arxiv="2002.09797",
    ),
    Reference(
        "binkowski2018",
        "Mikołaj Bińkowski, Danica J. Sutherland, Michael Arbel, Arthur Gretton",
        "Demystifying MMD GANs",
        "ICLR 2018",
        2018,
        arxiv="1801.01401",
    ),
    Reference(
        "zaremba2013",
        "Wojciech Zaremba, Arthur Gretton, Matthew Blaschko",
        "B-tests: Low Variance Kernel Two-Sample Tests",
        "NIPS 2013",
        2013,
        arxiv="1307.1954",
    ),
    Reference(
        "friedman2023",
        "Dan Friedman, Adji Bousso Dieng",
        "The Vendi Score: A Diversity Evaluation Metric for Machine Learning",
        "Transactions on Machine Learning Research",
        2023,
        arxiv="2210.02410",
    ),
    Reference(
        "pasarkar2024",
        "Amey P. Pasarkar, Adji Bousso Dieng",
        "Cousins of the Vendi Score: A Family of Similarity-Based Diversity Metrics for "
        "Science and Machine Learning",
        "AISTATS 2024",
        2024,
        arxiv="2310.12952",
    ),
    Reference(
        "bai2021",
        "Ching-Yuan Bai, Hsuan-Tien Lin, Colin Raffel, Wendy Chih-wen Kan",
        "On Training Sample Memorization: Lessons from Benchmarking Generative Modeling "
        "with a Large-scale Competition",
        "KDD 2021",
        2021,
        arxiv="2106.03062",
    ),
    Reference(
        "efron1981",
        "Bradley Efron, Charles Stein",
        "The Jackknife Estimate of Variance",
        "The Annals of Statistics 9(3):586-596",
        1981,
        doi="10.1214/aos/1176345462",
    ),
    Reference(
        "chong2020",
        "Min Jin Chong, David Forsyth",
        "Effectively Unbiased FID and Inception Score and where to find them",
        "CVPR 2020, 6069-6078",
        2020,
        arxiv="1911.07023",
    ),
    Reference(
        "pizzi2022",
        "Ed Pizzi, Sreya Dutta Roy, Sugosh Nagavara Ravindra, Priya Goyal, Matthijs Douze",
        "A Self-Supervised Descriptor for Image Copy Detection",
        "CVPR 2022",
        2022,
        arxiv="2202.10261",
    ),
    Reference(
        "somepalli2023",
        "Gowthami Somepalli, Vasu Singla, Micah Goldblum, Jonas Geiping, Tom Goldstein",
        "Diffusion Art or Digital Forgery? Investigating Data Replication in Diffusion Models",
        "CVPR 2023",
        2023,
        arxiv="2212.03860",
    ),
    Reference(
        "newcombe2006",
        "Robert G. Newcombe",
        "Confidence intervals for an effect size measure based on the Mann-Whitney "
        "statistic. Part 2: asymptotic methods and evaluation",
        "Statistics in Medicine 25(4):559-573",
        2006,
        doi="10.1002/sim.2324",
    ),
    Reference(
        "mann1947",
        "Henry B. Mann, Donald R. Whitney",
        "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other",
        "The Annals of Mathematical Statistics 18(1):50-60",
        1947,
        doi="10.1214/aoms/1177730491",
    ),
    Reference(
        "delong1988",
        "Elizabeth R. DeLong, David M. DeLong, Daniel L. Clarke-Pearson",
        "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic "
        "Curves: A Nonparametric Approach",
        "Biometrics 44(3):837-845",
        1988,
        doi="10.2307/2531595",
    ),
    Reference(
        "vovk2005",
        "Vladimir Vovk, Alexander Gammerman, Glenn Shafer",
        "Algorithmic Learning in a Random World",
        "Springer",
        2005,
        doi="10.1007/b106715",
    ),
    Reference(
        "li2024shallow",
        "Wenda Li, Huijie Zhang, Qing Qu",
        "Shallow Diffuse: Robust and Invisible Watermarking through Low-Dimensional Subspaces in "
        "Diffusion Models",
        "arXiv preprint",
        2024,
        arxiv="2410.21088",
    ),
    Reference(
        "wen2023",
        "Yuxin Wen, John Kirchenbauer, Jonas Geiping, Tom Goldstein",
        "Tree-Ring Watermarks: Fingerprints for Diffusion Images that are Invisible and Robust",
        "NeurIPS",
        2023,
        arxiv="2305.20030",
    ),
    Reference(
        "cox1997",
        "Ingemar J. Cox, Joe Kilian, F. Thomson Leighton, Talal Shamoon",
        "Secure Spread Spectrum Watermarking for Multimedia",
        "IEEE Transactions on Image Processing 6(12):1673-1687",
        1997,
        doi="10.1109/83.650120",
    ),
    Reference(
        "holm1979",
        "Sture Holm",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        "Scandinavian Journal of Statistics 6(2):65-70",
        1979,
    ),
    Reference(
        "massart1990",
        "Pascal Massart",
        "The Tight Constant in the Dvoretzky-Kiefer-Wolfowitz Inequality",
        "The Annals of Probability 18(3):1269-1283",
        1990,
        doi="10.1214/aop/1176990746",
    ),
)

NEEDED = ("mergergoldt2025", "wang2025", "maillardgoldt2026", "ledoitpeche2011")
"""What the answer to "how many images are enough" rests on."""

AUDIT = ("yoon2023", "somepalli2023", "vovk2005", "clopper1934", "donner2012", "newcombe2006")
"""What the verdict of an audit rests on; each metric adds its own."""

EDITED = ("chen2024", "song2021ddim")
"""What edits of images rest on."""

MARKED = ("li2024shallow", "wen2023", "cox1997", "holm1979", "song2021ddim", "clopper1934")
"""What watermarks and their tests rest on."""

COMMANDS = {"needed": NEEDED, "audit": AUDIT, "edit": EDITED, "watermark": MARKED}
"""What the answer of each command rests on."""

DATA = {"digits": "alpaydin1998", "fashion_mnist": "xiao2017", "faces": "huang2007"}
"""The work behind each image set that has one."""

_BY_KEY = {work.key: work for work in _WORKS}


def references(keys: Iterable[str]) -> list[Reference]:
    """The works with these keys, each once, in order of first use; an unknown key is a KeyError."""
    return [_BY_KEY[key] for key in dict.fromkeys(keys)]


def everything() -> list[Reference]:
    """Every work that some part of the library rests on."""
    return list(_WORKS)
