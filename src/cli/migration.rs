//! Options for the time beside argocd-image-updater, and for what is taken over from it.

use crate::controller::GeneratorSettings;
use crate::lower;
use crate::model::LabelSelector;

/// Options for the time beside argocd-image-updater, and for what is taken over from it.
#[derive(Debug, Clone, clap::Args)]
pub struct MigrationArgs {
    /// Whether policies are made from the annotations of argocd-image-updater
    #[arg(long, value_enum, default_value = "on", env = "FAIRLEAD_ANNOTATIONS")]
    annotations: Switch,
    /// Labels of the Applications whose annotations are read, for example `team=web`; without it, all
    #[arg(long, value_name = "SELECTOR", value_parser = lower::label_selector, env = "FAIRLEAD_ANNOTATIONS_SELECTOR")]
    annotations_selector: Option<LabelSelector>,
    /// Whether policies are made from `ImageUpdater` resources of argocd-image-updater
    #[arg(long, value_enum, default_value = "off", env = "FAIRLEAD_IMAGE_UPDATERS")]
    image_updaters: Switch,
    /// Decides, and compares with what others write; writes nothing, whatever policies say
    #[arg(long, env = "FAIRLEAD_SHADOW")]
    pub shadow: bool,
    /// Writes Applications also where argocd-image-updater wrote them in the last day
    #[arg(long, env = "FAIRLEAD_TAKE_OVER")]
    pub take_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

impl MigrationArgs {
    /// What policies are made of; nothing, where Applications are not objects of this cluster, to which a policy could belong.
    pub fn generated(&self, in_this_cluster: bool) -> GeneratorSettings {
        if !in_this_cluster {
            return GeneratorSettings::default();
        }
        let annotations = self.annotations == Switch::On;
        GeneratorSettings {
            annotations: annotations.then(|| self.annotations_selector.clone().unwrap_or_default()),
            image_updaters: self.image_updaters == Switch::On,
        }
    }
}
