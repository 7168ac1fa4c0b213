/** The stylesheets of widgets as text. */
import content from './styles/content.css';
import controls from './styles/controls.css';
import fields from './styles/fields.css';
import popups from './styles/popups.css';
import widget from './styles/widget.css';

export const styles = [widget, content, controls, fields, popups].join('\n');
