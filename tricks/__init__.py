"""Every trick of *Bag of Tricks for Image Classification* (He et al., 2018), once. Where each of them is:

    trick                           file                            section   lesson
    random crop, flip, colour       augment.py                      §2.1      02
    Xavier initialisation           parameters.py                   §2.1      02
    linear scaling, warm-up         schedules.py                    §3.1      03_1
    zero γ, no bias decay           parameters.py                   §3.1      03_1
    mixed precision                 precision.py                    §3.2      03_2
    ResNet-B, -C, -D                models/resnet.py                §4        04
    Inception-V3                    models/inception.py             §5.5      none yet
    MobileNet                       models/mobilenet.py             §5.5      none yet
    cosine decay                    schedules.py                    §5.1      05_1
    label smoothing                 label_smoothing.py              §5.2      05_2
    knowledge distillation          distillation.py                 §5.3      05_3
    mixup                           mixup.py                        §5.4      05_4
    CutMix                          after/cutmix.py                 later     09
    averaged weights                after/averaging.py              later     09
    whitened first convolution      after/whitening.py              later     09
    Dirac initialisation            after/dirac.py                  later     09
    bias learning rate              after/bias_rate.py              later     09
    Muon                            after/muon.py                   later     09
    linear decay                    schedules.py                    later     09
    alternating flips               after/alternating_flip.py       later     09
    TrivialAugment                  after/trivial_augment.py        later     09
    progressive resizing            after/progressive_resizing.py   later     09
    test-time views                 after/test_time.py              later     09

They meet in `train.py`, the loop, a visible line each. `recipe.py` says what a run may switch on, `targets.py` what the
network is asked to say, `state.py` what an epoch leaves to the next, `metrics.py` how good it is, `process.py` where it
runs. The folders are machinery: `data/` finds, reads and feeds pictures; `records/` makes, keeps and compares runs, and
has the paper's numbers; `transfer/` is section 6; `plots/` draws; `studies/` asks the course's questions; `course/` is
what lessons and commands are made of.
"""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent  # the course folder: data/, figures/, notebooks/ live here
